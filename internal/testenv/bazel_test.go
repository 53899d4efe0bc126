package testenv

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
)

func TestParseSummary(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, output string
		want         map[string]int
		local, hits  int
	}{
		{"cold", "INFO: Elapsed\nINFO: 330 processes: 14 internal, 316 linux-sandbox.\nINFO: Done", map[string]int{"internal": 14, "linux-sandbox": 316}, 316, 0},
		{"warm", "INFO: 330 processes: 316 remote cache hit, 14 internal.", map[string]int{"internal": 14, "remote cache hit": 316}, 0, 316},
		{"one", "INFO: 1 process: 1 some new way.", map[string]int{"some new way": 1}, 1, 0},
		{"none", "INFO: Build completed", nil, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := Build{Processes: parseSummary(tc.output)}
			if !maps.Equal(b.Processes, tc.want) {
				t.Errorf("processes = %v, want %v", b.Processes, tc.want)
			}
			if b.Local() != tc.local || b.RemoteHits() != tc.hits {
				t.Errorf("local %d, hits %d; want %d, %d", b.Local(), b.RemoteHits(), tc.local, tc.hits)
			}
		})
	}
}

func TestParseRunners(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.json")
	events := `{"id":{"started":{}},"started":{"uuid":"1"}}
{"id":{"buildMetrics":{}},"buildMetrics":{"actionSummary":{"runnerCount":[{"name":"total","count":3},{"name":"remote cache hit","count":2,"execKind":"Remote"},{"name":"linux-sandbox","count":1}]}}}
`
	if err := os.WriteFile(path, []byte(events), 0o600); err != nil {
		t.Fatal(err)
	}
	runners, err := parseRunners(path)
	if err != nil {
		t.Fatal(err)
	}
	if b := (Build{Runners: runners}); b.LocalRunners() != 1 || b.Runners["remote cache hit"] != 2 {
		t.Errorf("runners = %v", runners)
	}
}
