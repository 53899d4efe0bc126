package main

import "testing"

func TestParseMemory(t *testing.T) {
	t.Parallel()
	const status = "Name:\tlarder\nVmPeak:\t 9999 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nRssAnon:\t     512 kB\nRssFile:\t  512 kB\nThreads:\t9\n"
	got, err := parseMemory(status)
	if want := (memory{peak: 2 << 20, now: 1 << 20, anonymous: 512 << 10}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for name, bad := range map[string]string{
		"ended":     "Name:\tlarder\nState:\tZ (zombie)\n",
		"no number": "VmHWM:\tmuch kB\nVmRSS:\t1 kB\nRssAnon:\t1 kB\n",
		"a part":    "VmHWM:\t1 kB\nVmRSS:\t1 kB\n",
		"empty":     "",
	} {
		if got, err := parseMemory(bad); err == nil {
			t.Errorf("%s: got %+v, want an error", name, got)
		}
	}
}

func FuzzParseMemory(f *testing.F) {
	f.Add("VmHWM:\t2048 kB\nVmRSS:\t1024 kB\nRssAnon:\t512 kB\n")
	f.Fuzz(func(t *testing.T, status string) {
		if m, err := parseMemory(status); err != nil && m != (memory{}) {
			t.Errorf("an error and figures: %+v, %v", m, err)
		}
	})
}
