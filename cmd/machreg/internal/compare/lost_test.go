package compare_test

import (
	"testing"

	"github.com/machreg/machreg/cmd/machreg/internal/compare"
)

func TestJudge(t *testing.T) {
	type file = map[int]uint64
	for _, test := range []struct {
		name               string
		notes              []string
		file               file
		acknowledged, lost uint64
	}{
		{"nothing was written", nil, file{0: 0}, 0, 0},
		{"what was there at first is gone", nil, file{}, 0, 1},
		{"an update is there", []string{"b 0 p 1", "e 0 p 1 a 10"}, file{0: 1}, 1, 0},
		{"an update is gone", []string{"b 0 p 1", "e 0 p 1 a 10"}, file{0: 0}, 1, 1},
		{"a removal is there", []string{"b 0 r 1", "e 0 r 1 a 10"}, file{}, 1, 0},
		{"a removal is gone", []string{"b 0 r 1", "e 0 r 1 a 10"}, file{0: 0}, 1, 1},
		{"a later update explains it", []string{"b 0 p 1", "e 0 p 1 a 10", "b 0 p 2", "e 0 p 2 a 20"}, file{0: 2}, 2, 0},
		{"the last of two is gone", []string{"b 0 p 1", "e 0 p 1 a 10", "b 0 p 2", "e 0 p 2 a 20"}, file{0: 1}, 2, 1},
		{"a write that never ended is there", []string{"b 0 p 1", "e 0 p 1 a 10", "b 0 r 2"}, file{}, 1, 0},
		{"a write that never ended is not there", []string{"b 0 p 1", "e 0 p 1 a 10", "b 0 r 2"}, file{0: 1}, 1, 0},
		{"neither it nor the one before", []string{"b 0 p 1", "e 0 p 1 a 10", "b 0 p 2"}, file{}, 1, 1},
		{"a failed write is not there", []string{"b 0 p 1", "e 0 p 1 f 10"}, file{0: 0}, 0, 0},
		{"a removal finds nothing", []string{"b 0 p 1", "e 0 p 1 a 10", "b 0 r 2", "e 0 r 2 x 20"}, file{}, 1, 1},
		{"and it is not counted twice", []string{"b 0 r 1", "e 0 r 1 x 10"}, file{0: 0}, 0, 1},
		{"and after a new one all is well", []string{"b 0 r 1", "e 0 r 1 x 10", "b 0 p 2", "e 0 p 2 a 20"}, file{0: 2}, 1, 1},
		{"a removal finds nothing, after one of unknown fate", []string{"b 0 r 1", "b 0 r 2", "e 0 r 2 x 20"}, file{}, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			acknowledged, lost, err := compare.Judge(1, test.notes, test.file)
			if err != nil || acknowledged != test.acknowledged || lost != test.lost {
				t.Errorf("%d acknowledged, %d lost, %v, want %d, %d", acknowledged, lost, err, test.acknowledged, test.lost)
			}
		})
	}
}

func TestJudgeRefusesNonsense(t *testing.T) {
	for _, notes := range [][]string{{"e 0 p 1 a 10"}, {"b 0 p 1", "e 0 p 2 a 10"}, {"b 0"}, {"?"}, {""}} {
		if _, _, err := compare.Judge(1, notes, nil); err == nil {
			t.Errorf("the journal %q was accepted", notes)
		}
	}
}

func TestStaleness(t *testing.T) {
	notes := []string{"b 0 p 1", "e 0 p 1 a 100", "b 0 r 2", "e 0 r 2 a 200", "b 0 p 3", "e 0 p 3 a 300", "b 0 p 4", "e 0 p 4 f 400", "b 0 r 5"}
	for _, test := range []struct {
		number uint64
		there  bool
		at     int64
		want   int64
	}{
		{0, true, 90, 0},   // nothing else was acknowledged yet
		{0, true, 150, 50}, // number 1 was
		{1, true, 50, 0},   // seen before its writer knew
		{1, true, 250, 50},
		{3, true, 1000, 0},  // what came after was not acknowledged
		{0, false, 250, 0},  // removed, and not yet there again
		{0, false, 350, 50}, // there again since 300
		{0, false, 1000, 0}, // or removed by number 5
		{0, false, 50, 0},   // no removal had begun, which a lost write explains
	} {
		got, err := compare.Stale(notes, test.number, test.there, test.at)
		if err != nil || got != test.want {
			t.Errorf("staleness of number %d, there %t, at %d = %d, %v, want %d", test.number, test.there, test.at, got, err, test.want)
		}
	}
}
