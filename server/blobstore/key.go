package blobstore

import "github.com/larder-build/larder/internal/digest"

// Kind tells the two caches apart.
type Kind uint8

const (
	// CAS blobs are named by the digest of their own content.
	CAS Kind = 1
	// AC blobs are action results, named by the digest of the action.
	AC Kind = 2
)

func (k Kind) String() string {
	switch k {
	case CAS:
		return "cas"
	case AC:
		return "ac"
	}
	return "unknown kind"
}

// MaxInstanceLen is the length in bytes of the longest instance name.
const MaxInstanceLen = 255

// Key names a blob in a store. Keys compare with ==; build them with a
// Namespace, which fixes what the protocol leaves open.
type Key struct {
	// Digest is the content's digest in the CAS. In the AC it is the action's,
	// with the size set to 0: an HTTP client does not tell it, and the hash
	// alone names the action.
	Digest digest.Digest
	Kind   Kind
	// Instance isolates blobs of the same digest from each other. At most
	// MaxInstanceLen bytes.
	Instance string
}

// String returns "cas/hash/size", with the instance name before it.
func (k Key) String() string {
	s := k.Kind.String() + "/" + k.Digest.String()
	if k.Instance != "" {
		return k.Instance + "/" + s
	}
	return s
}

// Namespace decides which instance names share blobs. The zero value isolates
// action results by instance name and shares the CAS, where the digest proves
// the content.
type Namespace struct {
	// IsolateCAS keeps the CAS of each instance name apart, too.
	IsolateCAS bool
	// ShareAC lets all instance names see the same action results.
	ShareAC bool
}

// CAS returns the key of a blob with that digest.
func (n Namespace) CAS(instance string, d digest.Digest) Key {
	if !n.IsolateCAS {
		instance = ""
	}
	return Key{Kind: CAS, Instance: instance, Digest: d}
}

// AC returns the key of the result of the action with that digest.
func (n Namespace) AC(instance string, action digest.Digest) Key {
	if n.ShareAC {
		instance = ""
	}
	return Key{Kind: AC, Instance: instance, Digest: action.WithSize(0)}
}
