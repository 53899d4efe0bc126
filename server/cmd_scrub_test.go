package main

import (
	"strings"
	"testing"

	"github.com/larder-build/larder/server/blobstore/segment"
)

// What was lost when the store was opened is told of, and a lost segment is
// damage.
func TestScrubReport(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		report    segment.ScrubReport
		out, fail string
		clean     bool
	}{
		{report: segment.ScrubReport{Records: 3}, out: "checked 3", clean: true},
		{report: segment.ScrubReport{LostRecords: 2}, out: "2 records were cut off"},
		{report: segment.ScrubReport{LostSegments: 1}, fail: "1 segments could not be read"},
		{report: segment.ScrubReport{LostSegments: 1, Dropped: 4}, out: "and 4 more", fail: "4 were damaged"},
	} {
		var out strings.Builder
		err := printReport(&out, c.report, 0)
		if !strings.Contains(out.String(), c.out) || strings.Contains(out.String(), "no damage") != c.clean {
			t.Errorf("%+v is printed as %q", c.report, out.String())
		}
		if (err != nil) != (c.fail != "") || err != nil && !strings.Contains(err.Error(), c.fail) {
			t.Errorf("%+v: error %v, want %q", c.report, err, c.fail)
		}
	}
}
