package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// session is one run of bench.
type session struct {
	options    options
	contenders []contender // the baseline first
	fill       string      // program, "" if nothing needs it
	launcher   *launcher
	contents   *contents
	buffers    []*buffer
	progress   io.Writer
	report     report
}

// newSession builds the programs and sorts out what to compare.
func newSession(ctx context.Context, o options, dir string, progress io.Writer) (*session, error) {
	s := &session{options: o, progress: progress, contents: newContents(o.Seed, maxBlobBytes)}
	s.launcher = &launcher{
		dir: dir, maxSizeGiB: o.MaxSize, connections: o.Connections, callers: o.Callers, profile: o.Profile != "",
	}
	for range o.Callers {
		s.buffers = append(s.buffers, &buffer{contents: s.contents})
	}
	if o.Profile != "" {
		if err := os.MkdirAll(o.Profile, 0o755); err != nil {
			return nil, err
		}
	}
	if err := s.addContenders(ctx, dir); err != nil {
		return nil, err
	}
	s.report = report{Time: time.Now(), Machine: thisMachine(), Command: command(os.Args[1:]), Baseline: s.contenders[0].name}
	return s, nil
}

// command is how a run is repeated.
func command(args []string) []string {
	return append([]string{"go", "run", "./bench"}, args...)
}

func (s *session) addContenders(ctx context.Context, dir string) error {
	programs := make(map[string]string)
	build := func(name, pkg string) (string, error) {
		if programs[name] == "" {
			program, err := buildProgram(ctx, dir, name, pkg)
			if err != nil {
				return "", err
			}
			programs[name] = program
		}
		return programs[name], nil
	}
	for _, name := range s.options.Servers {
		pkg, ok := map[string]string{"floor": floorPackage, "larder": larderPackage}[name]
		if !ok {
			return fmt.Errorf("--servers: there is no server %q, only floor and larder", name)
		}
		program, err := build(name, pkg)
		if err != nil {
			return err
		}
		s.contenders = append(s.contenders, contender{name: name, program: program, store: name == "larder"})
	}
	if err := s.addMore(build); err != nil {
		return err
	}
	distinct(s.contenders)
	if len(s.contenders) == 0 {
		return errors.New("there is nothing to measure: give --servers, --variant or --server")
	}
	return s.addStartup(build)
}

// addMore adds what --variant and --server name.
func (s *session) addMore(build func(name, pkg string) (string, error)) error {
	for _, value := range s.options.Variant {
		c, err := parseVariant(value)
		if err != nil {
			return err
		}
		if c.program == "" {
			if c.program, err = build("larder", larderPackage); err != nil {
				return err
			}
		}
		s.contenders = append(s.contenders, c)
	}
	for _, value := range s.options.Server {
		c, err := parseRunning(value)
		if err != nil {
			return err
		}
		s.contenders = append(s.contenders, c)
	}
	return nil
}

// addStartup builds what the start-ups need, if any is chosen and there is a
// server with a store.
func (s *session) addStartup(build func(name, pkg string) (string, error)) (err error) {
	if len(s.startups()) > 0 && slices.ContainsFunc(s.contenders, func(c contender) bool { return c.store }) {
		s.fill, err = build("fill", fillPackage)
	}
	return err
}

// startups returns how many blobs the chosen start-ups have.
func (s *session) startups() []int {
	var out []int
	for _, n := range s.options.Entries {
		if chosen(s.options.Workloads, startupName(n)) {
			out = append(out, n)
		}
	}
	return out
}

// runAll runs every workload that is chosen.
func (s *session) runAll(ctx context.Context) error {
	for _, w := range workloads() {
		if !chosen(s.options.Workloads, w.name) {
			continue
		}
		got, err := s.runWorkload(ctx, w)
		if err != nil {
			return err
		}
		s.report.Workloads = append(s.report.Workloads, got)
		s.say(got)
	}
	return s.runStartups(ctx)
}

// say prints a workload's outcome on one line.
func (s *session) say(w workloadReport) {
	var parts []string
	for _, r := range w.Servers {
		part := r.Server + " "
		switch {
		case r.Skipped != "":
			part += "n/a"
		case r.Ratio != nil:
			part += fmt.Sprintf("%.2fx", r.Ratio.CPU)
		default:
			part += decimals(r.CPUMicros) + " µs"
		}
		parts = append(parts, part)
	}
	fmt.Fprintf(s.progress, "%-15s %s\n", w.Name, strings.Join(parts, ", "))
}

// runWorkload starts the servers afresh and compares them.
func (s *session) runWorkload(ctx context.Context, w workload) (out workloadReport, err error) {
	out = workloadReport{Name: w.name, About: w.about, Callers: w.callers(s.options.Callers), Rounds: s.options.Rounds}
	var able []*server
	skipped := make(map[string]string)
	for _, c := range s.contenders {
		server, err := s.launcher.start(ctx, c)
		if err != nil {
			return out, err
		}
		defer func() { err = cmp.Or(err, server.stop()) }()
		if skipped[c.name] = w.lacks(server.target); skipped[c.name] == "" {
			able = append(able, server)
		}
	}
	byName := make(map[string]serverReport)
	if len(able) > 0 {
		c := &comparison{
			workload: w, ops: w.make(s.contents, w.space), servers: able,
			buffers: s.buffers, rounds: s.options.Rounds, duration: s.options.Duration,
		}
		all, err := c.run(ctx)
		if err != nil {
			return out, err
		}
		if err := s.profileAll(ctx, c); err != nil {
			return out, err
		}
		out.OpsPerRound = c.perRound
		byName = summarizeAll(all, s.report.Baseline)
	}
	for _, c := range s.contenders {
		r := byName[c.name]
		r.Server, r.Skipped = c.name, skipped[c.name]
		out.Servers = append(out.Servers, r)
	}
	return out, nil
}

func summarizeAll(all []series, baseline string) map[string]serverReport {
	out := make(map[string]serverReport)
	var base *series
	for i, one := range all {
		out[one.server.contender.name] = summarize(one, base)
		if one.server.contender.name == baseline {
			base = &all[i]
		}
	}
	return out
}

func (s *session) profileAll(ctx context.Context, c *comparison) error {
	if s.options.Profile == "" {
		return nil
	}
	for _, server := range c.servers {
		if err := c.profile(ctx, server, s.options.Profile); err != nil {
			return fmt.Errorf("profile of server %s: %w", server.contender.name, err)
		}
	}
	return nil
}

// runStartups measures the servers that have a store.
func (s *session) runStartups(ctx context.Context) error {
	for _, entries := range s.startups() {
		for _, c := range s.contenders {
			if !c.store {
				continue
			}
			m := &startup{launcher: s.launcher, fill: s.fill, rounds: s.options.Rounds}
			got, err := m.measure(ctx, c, entries)
			if err != nil {
				return err
			}
			s.report.Startup = append(s.report.Startup, got)
			fmt.Fprintf(s.progress, "%-15s %s %s, %s B an entry\n", startupName(entries), c.name, duration(got.Ready*1e6), decimals(got.BytesPerEntry))
		}
	}
	return nil
}

// save prints the report and writes the files that were asked for.
func (s *session) save(out io.Writer) error {
	fmt.Fprintln(out)
	if err := s.report.writeText(out); err != nil {
		return err
	}
	if err := writeFile(s.options.JSON, s.report.writeJSON); err != nil {
		return err
	}
	return writeFile(s.options.Markdown, s.report.writeMarkdown)
}

func (r *report) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// writeFile writes the file if it has a name.
func writeFile(name string, write func(io.Writer) error) error {
	if name == "" {
		return nil
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
