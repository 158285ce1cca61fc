// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package events

import (
	"strconv"
	"strings"
	"testing"
	"testing/quick"
	"unicode"
	"unicode/utf8"
)

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"":                            `""`,
		"KubePodCrashLooping":         `"KubePodCrashLooping"`,
		"größe 🔥":                     `"größe 🔥"`,
		`a "quote"`:                   `"a \"quote\""`,
		"two\nlines\r":                `"two\nlines\r"`,
		"\x1b[31mred\x1b[0m":          `"\x1b[31mred\x1b[0m"`,
		"\x1b]0;title\a":              `"\x1b]0;title\a"`,
		"\x00\x7f\u0085\u009b31m":     `"\x00\x7f\u0085\u009b31m"`,
		"\u202egnp.exe":               `"\u202egnp.exe"`, // Letters that would be shown from right to left.
		"\u200b\u2028":                `"\u200b\u2028"`,
		"\xff":                        `"\xff"`,
		"%s %d":                       `"%s %d"`,
		strings.Repeat("a", 100):      strconv.Quote(strings.Repeat("a", 100)),
		strings.Repeat("a", 101):      `"` + strings.Repeat("a", 100) + `…"`,
		strings.Repeat("ü", 51):       `"` + strings.Repeat("ü", 50) + `…"`,
		"a" + strings.Repeat("ü", 50): `"a` + strings.Repeat("ü", 49) + `…"`, // No character is cut in two.
	} {
		if got := Quote(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

// Whatever an alert says, it is one line that moves no cursor and changes no colour, and it cannot end the quotes.
func TestQuoteOfAnything(t *testing.T) {
	harmless := func(text string) bool {
		got := Quote(text)
		_, err := strconv.Unquote(got)
		return err == nil && utf8.ValidString(got) && len(got) <= 4*(maxQuoted+len("…"))+2 &&
			strings.IndexFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
	}
	if err := quick.Check(harmless, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
	bytes := func(text []byte) bool { return harmless(string(text)) }
	if err := quick.Check(bytes, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
}
