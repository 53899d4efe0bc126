package segment

import "golang.org/x/sys/unix"

// datasync asks the drive to write its cache, too; fsync alone does not here.
func (f osFile) datasync() error { return f.Sync() }

// preallocate leaves it to the write to find the disk full.
func (f osFile) preallocate(offset, n int64) error { return nil }

// punch leaves the room taken until the segment goes.
func (f osFile) punch(offset, n int64) error { return nil }

func (f osFiles) free() (bytes, inodes int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(f.dir, &s); err != nil {
		return 0, 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), int64(s.Ffree), nil
}
