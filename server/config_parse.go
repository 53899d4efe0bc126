package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// grammar is what a command line may hold.
type grammar struct {
	Settings `embed:""`

	Serve   struct{}      `cmd:"" default:"1" help:"Serve the cache (the default)."`
	Config  configCommand `cmd:"" help:"Print every setting in force and where it comes from, as a configuration file."`
	Scrub   struct{}      `cmd:"" help:"Check every blob in the store of --dir against its checksum. No server may be using it."`
	Version struct{}      `cmd:"" help:"Print the version."`
}

type configCommand struct {
	Docs bool `hidden:"" help:"Print the table of settings in docs/operations.md."`
}

// config is a parsed command line: the settings in force and their origins.
type config struct {
	Settings
	command string
	docs    bool
	flags   []*kong.Flag
	origins map[string]origin
}

// origin returns where the setting's value comes from.
func (c *config) origin(name string) origin { return c.origins[name] }

// isSet tells whether the user has set it.
func (c *config) isSet(name string) bool { return c.origins[name].kind != fromDefault }

// parse reads the settings from the command line, the environment and the
// configuration file, in that order, and checks that they make sense together.
func parse(args []string, sys system) (*config, error) {
	var g grammar
	parser, err := newParser(&g, sys)
	if err != nil {
		return nil, err
	}
	src := &sources{environ: sys.environ, flags: settingFlags(parser), origins: map[string]origin{}}
	ctx, err := parser.Parse(args, src)
	if err != nil {
		return nil, err
	}
	cfg := &config{
		Settings: g.Settings,
		command:  strings.Fields(ctx.Command())[0],
		docs:     g.Config.Docs,
		flags:    src.flags,
		origins:  src.origins,
	}
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	return cfg, cfg.check()
}

// parser is kong with our sources.
type parser struct{ *kong.Kong }

func newParser(g *grammar, sys system) (parser, error) {
	k, err := kong.New(g,
		kong.Name("larder"),
		kong.Description("A build cache you own: the Remote Execution API's cache and Bazel's HTTP cache on a disk of your own."),
		kong.Vars{"default_dir": defaultDir()},
		kong.Writers(sys.stdout, sys.stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100}),
		kong.ValueFormatter(helpText),
		kong.PostBuild(func(k *kong.Kong) error {
			k.Model.Flags = append(k.Model.Flags, refusedFlags()...)
			return nil
		}),
	)
	return parser{k}, err
}

// Parse parses the command line, with src for what it does not tell.
func (p parser) Parse(args []string, src *sources) (*kong.Context, error) {
	if err := kong.Resolvers(src).Apply(p.Kong); err != nil {
		return nil, err
	}
	ctx, err := p.Kong.Parse(args)
	if src.err != nil {
		return nil, src.err // without the name of the flag that kong asked for
	}
	if parseErr, ok := errors.AsType[*kong.ParseError](err); ok {
		return nil, errors.Unwrap(parseErr)
	}
	return ctx, err
}

// helpText is the help of a flag with its default and its variable.
func helpText(v *kong.Value) string {
	if v.Flag == nil || v.Tag == nil || v.Name == "help" {
		return v.Help
	}
	text := v.Help
	switch {
	case v.Tag.Has("auto"):
		text += " Default: " + v.Tag.Get("auto") + "."
	case v.HasDefault:
		text += " Default: " + v.Default + "."
	}
	return fmt.Sprintf("%s [$%s]", text, variables(v.Flag)[0])
}

// settingFlags returns the flags that are settings, refused ones included.
func settingFlags(p parser) []*kong.Flag {
	var flags []*kong.Flag
	for _, flag := range p.Model.Flags {
		if flag.Name != "help" {
			flags = append(flags, flag)
		}
	}
	return flags
}

// defaultDir returns "" where the user has no cache directory.
func defaultDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "larder")
}

// sources resolves what the command line does not tell. It is a
// kong.Resolver, and keeps the origin of every setting.
type sources struct {
	environ []string
	flags   []*kong.Flag

	loaded  bool
	err     error // of loading
	env     map[string]given
	file    map[string]given
	origins map[string]origin
}

// Validate has nothing to do: readEnvironment and readConfigFile are strict.
func (s *sources) Validate(*kong.Application) error { return nil }

// Resolve returns the flag's value from the environment or the file. kong asks
// only for flags that the command line does not have.
func (s *sources) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if !s.loaded {
		s.loaded = true
		s.err = s.load(ctx)
	}
	if s.err != nil {
		return nil, s.err
	}
	g, ok := s.env[flag.Name]
	if !ok {
		g, ok = s.file[flag.Name]
	}
	if !ok {
		return nil, nil
	}
	if err := try(flag, g.text); err != nil {
		return nil, fmt.Errorf("%v: %w", g.origin, err)
	}
	s.origins[flag.Name] = g.origin
	return g.text, nil
}

// load reads the environment, and then the file that the command line or the
// environment names.
func (s *sources) load(ctx *kong.Context) (err error) {
	for _, p := range ctx.Path {
		if p.Flag != nil {
			s.origins[p.Flag.Name] = origin{kind: fromFlag, name: p.Flag.Name}
		}
	}
	if s.env, err = readEnvironment(s.environ, s.flags); err != nil {
		return err
	}
	path := s.env["config_file"].text
	for _, p := range ctx.Path {
		if p.Flag != nil && p.Flag.Name == "config_file" {
			path = ctx.FlagValue(p.Flag).(string)
		}
	}
	if path != "" {
		s.file, err = readConfigFile(path, s.flags)
	}
	return err
}

// try parses the text as the flag's value and throws the value away, so that
// the error can name where the text is from.
func try(flag *kong.Flag, text string) error {
	target := reflect.New(flag.Target.Type()).Elem()
	scan := kong.Scan().PushTyped(text, kong.FlagValueToken)
	if err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scan}, target); err != nil {
		return err
	}
	if flag.Enum != "" && !flag.EnumMap()[text] {
		return fmt.Errorf("must be one of %s but is %q", strings.Join(flag.EnumSlice(), ", "), text)
	}
	return nil
}
