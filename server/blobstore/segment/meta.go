package segment

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strings"
	"time"
)

const (
	metaName      = "larder.store"
	lockName      = "LOCK"
	touchesName   = "touches"
	tempSuffix    = ".tmp"
	segmentSuffix = ".seg"
	badSuffix     = ".bad"

	metaFormat = "larder segment store"
	// formatVersion is the version of all that lies in a store's directory.
	formatVersion = 1
	maxMetaBytes  = 64 << 10
)

// identity is what a store is told apart from others by, and its secret.
type identity struct {
	id  [16]byte
	key sipKey
}

// metaFile is a line of the file larder.store, in JSON. There are two equal
// lines; the second is a spare.
type metaFile struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	ID      string    `json:"id"`
	Key     string    `json:"key"`
	Created time.Time `json:"created"`
	// Checksum is the CRC-32C of the line with an empty checksum.
	Checksum string `json:"checksum"`
}

func (m metaFile) sum() string {
	m.Checksum = ""
	b, _ := json.Marshal(m) // cannot fail: strings, a number and a time
	return fmt.Sprintf("%08x", crc32.Checksum(b, castagnoli))
}

// openMeta reads the identity of the store in the directory, or makes the
// directory a store if it is empty. Anything else it refuses and leaves alone.
func openMeta(fsys files) (identity, error) {
	b, err := readFile(fsys, metaName, maxMetaBytes)
	if err == nil {
		return parseMeta(b)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return identity{}, fmt.Errorf("read %s: %w", metaName, err)
	}
	if err := checkEmpty(fsys); err != nil {
		return identity{}, err
	}
	return createMeta(fsys)
}

// checkEmpty refuses a directory with files of somebody else, or segments
// that have lost their larder.store.
func checkEmpty(fsys files) error {
	names, err := fsys.list()
	if err != nil {
		return err
	}
	for _, name := range names {
		switch name {
		case lockName, metaName + tempSuffix, "lost+found":
		default:
			return fmt.Errorf("directory is not empty (it has %q) and has no %s, so it is not a store: choose an empty or new directory", name, metaName)
		}
	}
	return nil
}

func createMeta(fsys files) (identity, error) {
	var secret [32]byte
	rand.Read(secret[:])
	m := metaFile{
		Format: metaFormat, Version: formatVersion, Created: time.Now().UTC().Truncate(time.Second),
		ID: hex.EncodeToString(secret[:16]), Key: hex.EncodeToString(secret[16:]),
	}
	m.Checksum = m.sum()
	line, err := json.Marshal(m)
	if err != nil {
		return identity{}, err
	}
	line = append(line, '\n')
	err = replaceFile(fsys, metaName, func(w io.WriterAt) error {
		_, err := w.WriteAt(append(line, line...), 0)
		return err
	})
	if err != nil {
		return identity{}, fmt.Errorf("write %s: %w", metaName, err)
	}
	return m.identity()
}

// newerError is the error of a store that a newer program wrote.
type newerError struct{ version int }

func (e newerError) Error() string {
	return fmt.Sprintf("store has format version %d and this program knows up to version %d: use a newer larder, or another directory", e.version, formatVersion)
}

// parseMeta takes the first line if it is whole, else the second. It looks for
// them by their length, as an end of line can be damaged, too.
func parseMeta(b []byte) (identity, error) {
	half := len(b) / 2
	id, first := parseMetaLine(b[:half])
	if first == nil || errors.As(first, new(newerError)) {
		return id, first
	}
	id, err := parseMetaLine(b[half:])
	if err == nil || errors.As(err, new(newerError)) {
		return id, err
	}
	return identity{}, fmt.Errorf("%s is damaged, and the store cannot be read without it: put a copy of the file back, or choose another directory: %w", metaName, first)
}

func parseMetaLine(line []byte) (identity, error) {
	var m metaFile
	if err := json.Unmarshal(line[:max(len(line)-1, 0)], &m); err != nil {
		return identity{}, err
	}
	switch {
	case m.Format != metaFormat:
		return identity{}, fmt.Errorf("format is %.40q, not %q", m.Format, metaFormat)
	case m.Version > formatVersion:
		return identity{}, newerError{m.Version}
	case m.Checksum != m.sum():
		return identity{}, fmt.Errorf("checksum is %.40q, not %q", m.Checksum, m.sum())
	case m.Version < 1:
		return identity{}, fmt.Errorf("format version %d does not exist", m.Version)
	}
	return m.identity()
}

func (m metaFile) identity() (id identity, err error) {
	b, err := hex.DecodeString(m.ID + m.Key)
	if err != nil || len(b) != 32 {
		return id, fmt.Errorf("id %.40q or key is not 32 hex digits", m.ID)
	}
	copy(id.id[:], b)
	id.key = sipKey{binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])}
	return id, nil
}

// segmentName is the name of the file of the segment with that number.
func segmentName(number uint32) string { return fmt.Sprintf("%08x%s", number, segmentSuffix) }

// parseSegmentName is its inverse.
func parseSegmentName(name string) (uint32, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != 4 {
		return 0, false
	}
	number := binary.BigEndian.Uint32(b)
	return number, number > 0 && segmentName(number) == name
}
