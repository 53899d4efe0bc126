package storetest

import (
	"testing"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
)

func actionCacheClauses() []clause {
	return []clause{
		{"takes content as it comes", func(t *testing.T, s blobstore.Store) {
			for i, n := range []int{0, 1, 1000, 200_000} {
				key := AC("", string(rune('a'+i)))
				mustPut(t, s, identity(key, Content(n, 1)))
				wantContent(t, s, key, Content(n, 1))
				mustWrite(t, s, identity(key, Content(n, 2)))
				wantContent(t, s, key, Content(n, 2))
			}
		}},
		{"is overwritten by the later write", func(t *testing.T, s blobstore.Store) {
			key := AC("", "action")
			for i := range 20 {
				c := Content(100+50*(i%7), uint64(i))
				switch i % 3 {
				case 0:
					mustPut(t, s, identity(key, c))
				case 1:
					mustWrite(t, s, identity(key, c))
				default:
					mustPut(t, s, compressed(key, c))
				}
				wantContent(t, s, key, c)
			}
		}},
		{"is overwritten within a batch, in its order", func(t *testing.T, s blobstore.Store) {
			key := AC("", "action")
			mustPut(t, s, identity(key, []byte("first")), identity(key, []byte("second")), identity(key, []byte("last")))
			wantContent(t, s, key, []byte("last"))
		}},
		{"ignores the size in the key", func(t *testing.T, s blobstore.Store) {
			key := AC("", "action")
			mustPut(t, s, identity(key, []byte("result")))
			for _, size := range []int64{0, 3, 6, 1 << 40, digest.SizeUnknown} {
				other := key
				other.Digest = key.Digest.WithSize(size)
				wantContent(t, s, other, []byte("result"))
				missing, err := s.FindMissing(t.Context(), []blobstore.Key{other})
				if len(missing) != 0 || err != nil {
					t.Errorf("FindMissing with size %d: %v, %v", size, missing, err)
				}
			}
		}},
		{"is apart from the CAS", func(t *testing.T, s blobstore.Store) {
			c := Content(100, 1)
			d := digest.Of(digest.SHA256, c)
			cas, ac := blobstore.Namespace{}.CAS("", d), blobstore.Namespace{}.AC("", d)
			mustPut(t, s, identity(cas, c))
			wantMissing(t, s, ac)
			mustPut(t, s, identity(ac, []byte("result")))
			wantContent(t, s, cas, c)
			wantContent(t, s, ac, []byte("result"))
		}},
		{"is apart for each instance name", func(t *testing.T, s blobstore.Store) {
			names := []string{"", "a", "a/b", "ab"}
			for i, name := range names {
				mustPut(t, s, identity(AC(name, "action"), []byte("of "+name)))
				for _, later := range names[i+1:] {
					wantMissing(t, s, AC(later, "action"))
				}
			}
			for _, name := range names {
				wantContent(t, s, AC(name, "action"), []byte("of "+name))
			}
		}},
		{"is apart for each digest function", testFunctions},
	}
}

// testFunctions uses functions whose hashes are of one length, so that only the
// function tells their digests apart.
func testFunctions(t *testing.T, s blobstore.Store) {
	key := func(fn digest.Function) blobstore.Key {
		d, err := digest.New(fn, Content(fn.HashSize(), 1), 0)
		if err != nil {
			t.Fatal(err)
		}
		return blobstore.Namespace{}.AC("", d)
	}
	mustPut(t, s, identity(key(digest.SHA256), []byte("sha256")))
	wantMissing(t, s, key(digest.BLAKE3))
	mustPut(t, s, identity(key(digest.BLAKE3), []byte("blake3")))
	wantContent(t, s, key(digest.SHA256), []byte("sha256"))
	wantContent(t, s, key(digest.BLAKE3), []byte("blake3"))
}
