package main

import "fmt"

// origin tells where a setting's value comes from.
type origin struct {
	kind originKind
	name string // the flag, the variable or the file
	line int    // in the file
}

type originKind uint8

const (
	fromDefault originKind = iota
	fromFile
	fromEnv
	fromFlag
)

func (o origin) String() string {
	switch o.kind {
	case fromFile:
		return fmt.Sprintf("%s:%d", o.name, o.line)
	case fromEnv:
		return "environment variable " + o.name
	case fromFlag:
		return "flag --" + o.name
	}
	return "default"
}

// given is a value with its origin, before it is parsed.
type given struct {
	text   string
	list   bool // text is the comma-separated form of a list
	origin origin
}
