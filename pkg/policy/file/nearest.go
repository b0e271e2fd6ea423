package file

import "strings"

// nearest is the known key that a key was most likely meant to be; empty if none
// is near: a third of its letters may be wrong, and one always, but never all.
func nearest(key string, known []string) string {
	best, least := "", max(1, len(key)/3)+1
	for _, k := range known {
		d := distance(strings.ToLower(key), strings.ToLower(k))
		if d < least && d < len(k) {
			best, least = k, d
		}
	}
	return best
}

// distance is how many letters must be put in, left out or changed to make a of
// b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := diagonal
			if a[i] != b[j] {
				changed++
			}
			diagonal = row[j+1]
			row[j+1] = min(changed, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
