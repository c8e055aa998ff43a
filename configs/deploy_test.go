package configs

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestDeployVariables: each variable that a deployment file sets is a key.
func TestDeployVariables(t *testing.T) {
	known := slices.Clone(EnvOfCommand)
	shapeOf(reflect.TypeFor[Config](), "").values("", func(key string, _ *shape) { known = append(known, envName(key)) })
	files, err := filepath.Glob("deploy/*")
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v", files, err)
	}
	found := 0
	for _, file := range append(files, "../Dockerfile", "../README.md") {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`MAILKEEP_[A-Z_]+`).FindAllString(string(b), -1) {
			found++
			if !slices.Contains(known, name) && !isServiceLink(name) {
				t.Errorf("%s sets %s, which is no key", file, name)
			}
		}
	}
	if found < 4 {
		t.Errorf("only %d variables were found", found)
	}
}

// TestDeployedConfigurations loads the configurations inside of the deployment
// files and of the README.
func TestDeployedConfigurations(t *testing.T) {
	var configMap struct {
		Kind string
		Data map[string]string
	}
	b, err := os.ReadFile("deploy/kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.NewDecoder(strings.NewReader(string(b))).Decode(&configMap); err != nil || configMap.Kind != "ConfigMap" {
		t.Fatalf("%v: the first document is a %q", err, configMap.Kind)
	}
	texts := []string{configMap.Data["mailkeep.yaml"]}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		texts = append(texts, m[1])
	}
	for _, text := range texts {
		c, err := Load(Sources{File: write(t, "c.yaml", text), SkipSecrets: true})
		if err != nil || len(c.Mailboxes) == 0 {
			t.Errorf("%v in\n%s", err, text)
		}
	}
}

func TestComposeIsYAML(t *testing.T) {
	b, err := os.ReadFile("deploy/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct{ Services, Volumes, Secrets map[string]any }
	if err := yaml.Unmarshal(b, &compose); err != nil || compose.Services["mailkeep"] == nil || compose.Secrets["office"] == nil {
		t.Errorf("%v: %+v", err, compose)
	}
}
