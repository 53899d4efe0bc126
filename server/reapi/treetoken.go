package reapi

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/internal/merkle"
)

// A page token says where GetTree goes on: the version of the token, the
// tree's root, the index of the next child at each level on the way from there,
// and a checksum, in base64. It needs nothing that the server remembers, so it
// is good after a restart, and on another server with the same blobs (rule
// 21).

const (
	treeTokenVersion = 1
	// maxTreeToken is the length of the longest token: MaxDepth levels, whose
	// indexes have three bytes.
	maxTreeToken = 4 * (8 + digest.MaxHashSize + 3*(merkle.MaxDepth+2)) / 3
)

// castagnoli is the checksum that finds a token cut short or mistyped. It is no
// secret: a made-up token gives nothing that a request without one does not.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func treeToken(root digest.Digest, path []int) string {
	b := append(make([]byte, 0, 128), treeTokenVersion, byte(root.Function()))
	b = append(b, root.Hash()...)
	for _, i := range path {
		b = binary.AppendUvarint(b, uint64(i))
	}
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseTreeToken returns the path in a token that treeToken made for the tree.
func parseTreeToken(token string, root digest.Digest) ([]int, error) {
	if len(token) > maxTreeToken {
		return nil, fmt.Errorf("%d characters are too long for one of this server's tokens", len(token))
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < 1+4 {
		return nil, fmt.Errorf("%.140q is not one of this server's tokens", token)
	}
	b, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(b, castagnoli) != sum || b[0] != treeTokenVersion {
		return nil, fmt.Errorf("%.140q is not one of this server's tokens", token)
	}
	b, ok := bytes.CutPrefix(b[1:], append([]byte{byte(root.Function())}, root.Hash()...))
	if !ok {
		return nil, fmt.Errorf("%.140q is of another tree than root_digest %v", token, root)
	}
	var path []int
	for len(b) > 0 {
		i, n := binary.Uvarint(b)
		if n <= 0 || i > merkle.MaxPending {
			return nil, errors.New("it is damaged")
		}
		path = append(path, int(i))
		b = b[n:]
	}
	return path, nil
}
