package segment

import (
	"errors"

	"golang.org/x/sys/unix"
)

func (f osFile) datasync() error {
	return retry(func() error { return unix.Fdatasync(int(f.Fd())) })
}

func (f osFile) preallocate(offset, n int64) error {
	return f.allocate(unix.FALLOC_FL_KEEP_SIZE, offset, n)
}

func (f osFile) punch(offset, n int64) error {
	return f.allocate(unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE, offset, n)
}

// allocate treats a file system that cannot as one that did: then room is only
// accounted, and a full disk is noticed when it is written to.
func (f osFile) allocate(mode uint32, offset, n int64) error {
	err := retry(func() error { return unix.Fallocate(int(f.Fd()), mode, offset, n) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}

func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (f osFiles) free() (bytes, inodes int64, err error) {
	var s unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(f.dir, &s) }); err != nil {
		return 0, 0, err
	}
	inodes = int64(s.Ffree)
	if s.Files == 0 { // a file system without a fixed number of them
		inodes = 1 << 62
	}
	return int64(s.Bavail) * s.Bsize, inodes, nil
}
