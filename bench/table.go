package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
)

var header = []string{"workload", "server", "ops/s", "MB/s", "p50", "p99", "CPU µs/op", "CPU ratio (rounds)", "peak RSS"}

// rows returns the table's cells. A ratio to the baseline stands behind each
// figure of the other servers.
func (r *report) rows() [][]string {
	var out [][]string
	for _, w := range r.Workloads {
		for i, s := range w.Servers {
			row := append([]string{"", s.Server}, s.cells()...)
			if i == 0 {
				row[0] = w.Name
			}
			out = append(out, row)
		}
	}
	return out
}

func (s serverReport) cells() []string {
	if s.Skipped != "" {
		return []string{"n/a: " + s.Skipped, "", "", "", "", "", ""}
	}
	cells := []string{
		humanize.Comma(int64(s.OpsPerSecond)), megabytes(s.MBPerSecond), duration(s.P50Micros), duration(s.P99Micros),
		decimals(s.CPUMicros), "1", humanize.IBytes(uint64(s.PeakRSS)),
	}
	if r := s.Ratio; r != nil {
		for i, ratio := range []float64{r.OpsPerSecond, 0, r.P50, r.P99, 0, 0, r.PeakRSS} {
			if ratio > 0 {
				cells[i] += fmt.Sprintf(" (%.2fx)", ratio)
			}
		}
		cells[5] = fmt.Sprintf("%.2fx (%.2f–%.2f)", r.CPU, r.CPULow, r.CPUHigh)
	}
	return cells
}

func megabytes(mb float64) string {
	if mb == 0 {
		return "–"
	}
	return decimals(mb)
}

// decimals prints three significant digits or all of the whole part.
func decimals(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return humanize.Comma(int64(v + 0.5))
}

func duration(us float64) string {
	d := time.Duration(us * float64(time.Microsecond))
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.0f µs", us)
	case d < time.Second:
		return decimals(us/1e3) + " ms"
	}
	return decimals(us/1e6) + " s"
}

// summary says how each server compares over all workloads.
func (r *report) summary() []string {
	var out []string
	for _, server := range r.compared() {
		byName := r.cpuRatios(server)
		var all []float64
		var over []string
		for _, w := range r.Workloads {
			ratio, ok := byName[w.Name]
			if !ok {
				continue
			}
			all = append(all, ratio)
			if ratio > 1 {
				over = append(over, fmt.Sprintf("%s %.2fx", w.Name, ratio))
			}
		}
		line := fmt.Sprintf("%s: %.2fx the CPU of %s (geometric mean of %d workloads)", server, geometricMean(all), r.Baseline, len(all))
		if len(over) > 0 {
			line += "; above 1.00x: " + strings.Join(over, ", ")
		}
		out = append(out, line)
	}
	return out
}

// writeText prints the report for a terminal.
func (r *report) writeText(w io.Writer) error {
	if err := r.writeTables(w, alignText); err != nil {
		return err
	}
	for _, line := range r.summary() {
		fmt.Fprintln(w, line)
	}
	return nil
}

// writeTables writes those tables that have rows.
func (r *report) writeTables(w io.Writer, write func(io.Writer, []string, [][]string) error) error {
	for _, t := range []struct {
		header []string
		rows   [][]string
	}{{header, r.rows()}, {startupHeader, r.startupRows()}} {
		if len(t.rows) == 0 {
			continue
		}
		if err := write(w, t.header, t.rows); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	return nil
}

func alignText(w io.Writer, header []string, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range slices.Concat([][]string{header}, rows) {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	return tw.Flush()
}

func alignMarkdown(w io.Writer, header []string, rows [][]string) error {
	line := func(cells []string) error {
		_, err := fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
		return err
	}
	if err := line(header); err != nil {
		return err
	}
	if err := line(slices.Repeat([]string{"---"}, len(header))); err != nil {
		return err
	}
	for _, row := range rows {
		if err := line(row); err != nil {
			return err
		}
	}
	return nil
}

// writeMarkdown writes a page for bench/reports.
func (r *report) writeMarkdown(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "# bench, %s\n\n", r.Time.UTC().Format("2006-01-02 15:04 UTC"))
	fmt.Fprintf(w, "Revision %s, %s, %s, %d cores of %s, Linux %s.\n\n", m.Revision, m.GoVersion, m.Platform, m.Cores, m.CPU, m.Kernel)
	fmt.Fprintf(w, "    %s\n\n", strings.Join(r.Command, " "))
	fmt.Fprintf(w, "Figures in parentheses are ratios to %s, medians of the rounds' ratios; behind the CPU ratio stand its least and greatest round. ", r.Baseline)
	fmt.Fprintf(w, "bench/README.md says what each workload does.\n\n")
	if err := r.writeTables(w, alignMarkdown); err != nil {
		return err
	}
	for _, line := range r.summary() {
		fmt.Fprintf(w, "- %s\n", line)
	}
	return nil
}
