// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Command reference writes what is generated in the documentation below a directory: the tables of the kinds, from
// their OpenAPI definitions, and the files that a page shows as they are. It fails when YAML in a page does not parse,
// or a link leads nowhere.
package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"karo.io/karo/pkg/generated/openapi"
)

const (
	referencePage = "docs/reference.md"
	marker        = "<!-- What follows is generated from the OpenAPI definitions by hack/update-docs.sh. -->\n"
	ownPrefix     = "io.karo."
	instant       = "io.karo.nanotime.Time"
)

// kinds are those of a version, in the order of the page. What they refer to comes behind them.
var kinds = []struct {
	version string
	names   []string
}{
	{"v1", []string{
		"AlertReaction", "Execution", "Alert", "ReactionRevision", "AlertNotification", "ClusterAlertNotification",
		"AlertNotificationResult", "ExecutionRequest", "ExecutionCancellation",
	}},
	{"v1alpha1", []string{"AlertReaction"}},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: reference DIRECTORY")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		return err
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		pages = append(pages, filepath.Join(root, name))
	}
	for _, name := range pages {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		page, err := update(root, name, string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if page != string(text) {
			if err := os.WriteFile(name, []byte(page), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// update returns a page with all that is generated in it.
func update(root, name, page string) (string, error) {
	page, err := include(root, page)
	if err != nil {
		return "", err
	}
	if rel, err := filepath.Rel(root, name); err == nil && filepath.ToSlash(rel) == referencePage {
		head, _, ok := strings.Cut(page, marker)
		if !ok {
			return "", fmt.Errorf("the line %q is missing", strings.TrimSpace(marker))
		}
		tables, err := reference()
		if err != nil {
			return "", err
		}
		page = head + marker + tables
	}
	if err := parse(page); err != nil {
		return "", err
	}
	return page, follow(filepath.Dir(name), page)
}

var included = regexp.MustCompile("(?s)<!-- include (\\S+) -->\n\n```yaml\n.*?```\n")

// include shows files as they are: each behind a comment that names it.
func include(root, page string) (string, error) {
	var failed error
	page = included.ReplaceAllStringFunc(page, func(block string) string {
		name := included.FindStringSubmatch(block)[1]
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			failed = err
			return block
		}
		return fmt.Sprintf("<!-- include %s -->\n\n```yaml\n%s```\n", name, text)
	})
	return page, failed
}

var fenced = regexp.MustCompile("(?sm)^```yaml\n(.*?)^```$")

func parse(page string) error {
	for _, block := range fenced.FindAllStringSubmatch(page, -1) {
		documents := yaml.NewDocumentDecoder(io.NopCloser(strings.NewReader(block[1])))
		for {
			document := make([]byte, len(block[1])+1)
			n, err := documents.Read(document)
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			if _, err := yaml.ToJSON(bytes.TrimSpace(document[:n])); err != nil {
				return fmt.Errorf("YAML that does not parse: %w:\n%s", err, block[1])
			}
		}
	}
	return nil
}

var (
	link   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	anchor = regexp.MustCompile(`<a id="([^"]+)">`)
	title  = regexp.MustCompile(`(?m)^#+ (.*)$`)
	inCode = regexp.MustCompile("(?sm)^```.*?^```$")
	noSlug = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// follow fails when a link of a page to a file, or to a place in a page, leads nowhere.
func follow(directory, page string) error {
	for _, m := range link.FindAllStringSubmatch(inCode.ReplaceAllString(page, ""), -1) {
		target := m[1]
		if strings.Contains(target, "://") {
			continue
		}
		file, place, _ := strings.Cut(target, "#")
		text := page
		if file != "" {
			name := filepath.Join(directory, filepath.FromSlash(file))
			info, err := os.Stat(name)
			if err != nil {
				return fmt.Errorf("the link %s leads nowhere", target)
			}
			if place == "" || info.IsDir() {
				continue
			}
			read, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			text = string(read)
		}
		if !slices.Contains(places(text), place) {
			return fmt.Errorf("the link %s leads to no place in the page", target)
		}
	}
	return nil
}

func places(page string) []string {
	var found []string
	for _, m := range anchor.FindAllStringSubmatch(page, -1) {
		found = append(found, m[1])
	}
	for _, m := range title.FindAllStringSubmatch(inCode.ReplaceAllString(page, ""), -1) {
		found = append(found, strings.ReplaceAll(noSlug.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return found
}

// reference returns the tables of all kinds.
func reference() (string, error) {
	definitions := openapi.GetOpenAPIDefinitions(func(name string) spec.Ref {
		return spec.MustCreateRef("#/definitions/" + name)
	})
	var page strings.Builder
	for _, of := range kinds {
		fmt.Fprintf(&page, "\n## karo.io/%s\n", of.version)
		var names []string
		for _, kind := range of.names {
			names = append(names, ownPrefix+of.version+"."+kind)
		}
		// What is referred to is added while the names are gone through.
		for i := 0; i < len(names); i++ {
			definition, ok := definitions[names[i]]
			if !ok {
				return "", fmt.Errorf("%s has no definition", names[i])
			}
			writeDefinition(&page, names[i], &definition)
			for _, field := range slices.Sorted(maps.Keys(definition.Schema.Properties)) {
				schema := definition.Schema.Properties[field]
				if name := referred(&schema); strings.HasPrefix(name, ownPrefix) && name != instant && !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	return page.String(), nil
}

func writeDefinition(page *strings.Builder, name string, definition *common.OpenAPIDefinition) {
	version, kind := split(name)
	schema := &definition.Schema
	fmt.Fprintf(page, "\n<a id=%q></a>\n### %s (%s)\n\n%s\n", id(name), kind, version, describe(schema.Description))
	fields := slices.Sorted(maps.Keys(schema.Properties))
	fields = slices.DeleteFunc(fields, func(field string) bool { return field == "apiVersion" || field == "kind" })
	if len(fields) == 0 {
		return
	}
	page.WriteString("\n| Field | Type | Default | Description |\n| --- | --- | --- | --- |\n")
	for _, field := range fields {
		property := schema.Properties[field]
		text, byDefault := cutDefault(property.Description)
		required := ""
		if slices.Contains(schema.Required, field) {
			required, text = "Required. ", strings.Replace(text, " Required.", "", 1)
		}
		fmt.Fprintf(page, "| `%s` | %s | %s | %s |\n", field, typeOf(&property), describe(byDefault), required+describe(text))
	}
}

func split(name string) (version, kind string) {
	version, kind, _ = strings.Cut(strings.TrimPrefix(name, ownPrefix), ".")
	return version, kind
}

func id(name string) string {
	version, kind := split(name)
	return version + "-" + strings.ToLower(kind)
}

// referred returns the name of the definition that a schema refers to, or "".
func referred(schema *spec.Schema) string {
	if name := strings.TrimPrefix(schema.Ref.String(), "#/definitions/"); name != "" {
		return name
	}
	for i := range schema.AllOf {
		if name := referred(&schema.AllOf[i]); name != "" {
			return name
		}
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		return referred(schema.Items.Schema)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		return referred(schema.AdditionalProperties.Schema)
	}
	return ""
}

func typeOf(schema *spec.Schema) string {
	switch {
	case len(schema.Enum) > 0:
		values := make([]string, 0, len(schema.Enum))
		for _, value := range schema.Enum {
			values = append(values, fmt.Sprintf("`%v`", value))
		}
		return strings.Join(values, ", ")
	case schema.Items != nil && schema.Items.Schema != nil:
		return "list of " + typeOf(schema.Items.Schema)
	case schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil:
		return "map of " + typeOf(schema.AdditionalProperties.Schema)
	case len(schema.Type) > 0:
		return schema.Type[0]
	}
	switch name := referred(schema); {
	case name == instant:
		return "time, to the nanosecond"
	case strings.HasPrefix(name, ownPrefix):
		_, kind := split(name)
		return fmt.Sprintf("[%s](#%s)", kind, id(name))
	default:
		return kubernetes(name)
	}
}

// kubernetes links a type of Kubernetes to its documentation.
func kubernetes(name string) string {
	parts := strings.Split(strings.TrimPrefix(name, "io.k8s."), ".")
	kind := parts[len(parts)-1]
	return fmt.Sprintf("[%s](https://pkg.go.dev/k8s.io/%s#%[1]s)", kind, path.Join(parts[:len(parts)-1]...))
}

var defaultSentence = regexp.MustCompile(`^(.*?) ?Default: (.*?)\.( Examples?: .*)?$`)

// cutDefault takes the sentence with the default out of a description, and drops the values of an enum, which the type
// has.
func cutDefault(text string) (rest, byDefault string) {
	text, _, _ = strings.Cut(text, "\n\nPossible enum values:")
	if m := defaultSentence.FindStringSubmatch(text); m != nil {
		return m[1] + m[3], m[2]
	}
	return text, ""
}

var quoted = regexp.MustCompile(`"([^"]+)"`)

// describe writes a description as Markdown that may stand in a table.
func describe(text string) string {
	text = quoted.ReplaceAllString(strings.ReplaceAll(text, "|", `\|`), "`$1`")
	return strings.ReplaceAll(text, "\n", " ")
}
