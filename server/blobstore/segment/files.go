package segment

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// files is the part of a file system that a store uses, all names in its one
// directory. It is a seam: the tests make each of these calls fail in turn.
type files interface {
	create(name string) (file, error) // fails if the file exists
	open(name string) (file, error)
	rename(from, to string) error
	remove(name string) error
	list() ([]string, error)
	// sync makes created, renamed and removed names durable.
	sync() error
	// free tells the bytes and inodes that are free to this process.
	free() (bytes, inodes int64, err error)
}

// file is one open file.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	size() (int64, error)
	truncate(size int64) error
	// preallocate makes sure of the room, without changing the file's size.
	preallocate(offset, n int64) error
	// punch gives the room back to the file system; it reads as zeros then.
	punch(offset, n int64) error
	// datasync makes the content durable, and the size.
	datasync() error
}

// osFiles is a directory of the operating system.
type osFiles struct{ dir string }

func (f osFiles) path(name string) string { return filepath.Join(f.dir, name) }

func (f osFiles) create(name string) (file, error) {
	return openFile(f.path(name), os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (f osFiles) open(name string) (file, error) {
	return openFile(f.path(name), os.O_RDWR)
}

func openFile(path string, flag int) (file, error) {
	o, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{o}, nil
}

func (f osFiles) rename(from, to string) error { return os.Rename(f.path(from), f.path(to)) }
func (f osFiles) remove(name string) error     { return os.Remove(f.path(name)) }

func (f osFiles) list() ([]string, error) {
	d, err := os.Open(f.dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

func (f osFiles) sync() error {
	d, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// osFile is a file of the operating system.
type osFile struct{ *os.File }

func (f osFile) size() (int64, error) {
	i, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return i.Size(), nil
}

func (f osFile) truncate(size int64) error { return f.Truncate(size) }

func (f osFile) mmap(n int64) ([]byte, error) {
	return unix.Mmap(int(f.Fd()), 0, int(n), unix.PROT_READ, unix.MAP_SHARED)
}

func (f osFile) munmap(mem []byte) error { return unix.Munmap(mem) }

func (f osFile) modified() (int64, error) {
	i, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return i.ModTime().UnixNano(), nil
}

// isFull reports whether the error says that the disk, or the user's part of
// it, is full.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		errors.Is(err, syscall.EFBIG) || errors.Is(err, io.ErrShortWrite)
}

// isScarce reports whether the error is about this process or the machine, and
// says nothing about the file.
func isScarce(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM) ||
		errors.Is(err, syscall.EINTR) || errors.Is(err, syscall.EAGAIN) || errors.Is(err, fs.ErrPermission)
}

// readFile reads a small file.
func readFile(fsys files, name string, limit int64) ([]byte, error) {
	f, err := fsys.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, limit))
	return b, err
}

// replaceFile makes content the file's content, durably and all or nothing.
func replaceFile(fsys files, name string, write func(io.WriterAt) error) (err error) {
	temp := name + tempSuffix
	if err := fsys.remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsys.create(temp)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.datasync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = fsys.rename(temp, name)
	}
	if err != nil {
		return errors.Join(err, fsys.remove(temp))
	}
	return fsys.sync()
}
