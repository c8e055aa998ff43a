package configs

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// Sources are where a configuration comes from.
type Sources struct {
	// File is the YAML file; empty for none.
	File string
	// Env holds "NAME=value", as os.Environ returns it. Variables that do not
	// start with MAILKEEP_ are ignored.
	Env []string
	// Flags are parsed flags; those made by AddFlags are read if they were given.
	// It may be nil.
	Flags *pflag.FlagSet
	// SkipSecrets leaves out the check that each mailbox's password can be read,
	// for commands that do not log in.
	SkipSecrets bool
}

const (
	envPrefix = "MAILKEEP_"
	// separator joins keys inside koanf. Host names are keys and hold dots, so
	// the usual "." would take them apart.
	separator = "\x1f"
)

// EnvOfCommand are the variables with our prefix that are read by the command
// and are not keys.
var EnvOfCommand = []string{"MAILKEEP_CONFIG", "MAILKEEP_ROLE"}

// A loading is one run of Load.
type loading struct {
	sources Sources
	shape   *shape
	origins origins
	faults  Faults
	broken  map[string]bool
	ko      *koanf.Koanf
}

// Load merges the sources and checks the result. The error is Faults, of the
// kind mail.Invalid, with all that is wrong.
func Load(s Sources) (*Config, error) {
	l := &loading{
		sources: s,
		shape:   shapeOf(reflect.TypeFor[Config](), ""),
		origins: make(origins),
		broken:  make(map[string]bool),
		ko:      koanf.New(separator),
	}
	l.load(confmap.Provider(l.defaults(), separator), "default")
	l.file()
	l.environment()
	l.flags()
	c := l.decode()
	l.mailboxesFile(c)
	l.unknownEnvironment(c)
	c.origins = l.origins
	l.validate(c)
	if err := l.faults.err(); err != nil {
		return nil, err
	}
	c.Warnings.sort()
	return c, nil
}

// load merges what a provider reads over what was read before.
func (l *loading) load(p koanf.Provider, where string) {
	if err := l.ko.Load(p, nil); err != nil {
		l.faults = append(l.faults, Fault{Where: where, Problem: "cannot be read: " + err.Error()})
	}
}

func (l *loading) defaults() map[string]any {
	out := make(map[string]any)
	l.shape.values("", func(key string, s *shape) {
		text := s.tag.Get("default")
		if text == "" {
			return
		}
		if v, p := s.parse(text, ""); p == nil {
			out[path(key)] = v
		}
	})
	return out
}

func (l *loading) file() {
	if l.sources.File == "" {
		return
	}
	d := l.newDocument(l.sources.File)
	root := d.read()
	if root == nil {
		return
	}
	got, _ := d.value(root, l.shape, "").(map[string]any)
	l.load(confmap.Provider(got, ""), d.name)
}

// read returns the root node of the document's file, or nil.
func (d *document) read() *yaml.Node {
	b, p := readFile(d.name)
	if p != nil {
		d.fault(0, "", *p)
		return nil
	}
	return d.parseYAML(b)
}

func (l *loading) environment() {
	keys := l.keysBy(envName)
	l.load(env.Provider(separator, env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return l.sources.Env },
		TransformFunc: func(name, text string) (string, any) {
			key, ok := keys[name]
			if !ok {
				return "", nil
			}
			return l.outside(key, name, text)
		},
	}), "environment")
}

func (l *loading) flags() {
	if l.sources.Flags == nil {
		return
	}
	keys := l.keysBy(flagName)
	l.load(posflag.ProviderWithFlag(l.sources.Flags, separator, nil, func(f *pflag.Flag) (string, any) {
		key, ok := keys[f.Name]
		if !ok || !f.Changed {
			return "", nil
		}
		return l.outside(key, "--"+f.Name, f.Value.String())
	}), "flags")
}

// outside parses a value given by environment or flag, for koanf.
func (l *loading) outside(key, where, text string) (string, any) {
	l.origins[key] = place{where: where}
	delete(l.broken, key)
	v, p := l.shape.at(key).parse(text, "")
	if p != nil {
		l.broken[key] = true
		l.faults = append(l.faults, Fault{Where: where, Key: key, Problem: p.text, Hint: p.hint})
		return "", nil
	}
	return path(key), v
}

// keysBy maps the names that a source uses to keys.
func (l *loading) keysBy(name func(key string) string) map[string]string {
	out := make(map[string]string)
	l.shape.values("", func(key string, _ *shape) { out[name(key)] = key })
	return out
}

// at returns the shape of a fixed key, which exists.
func (s *shape) at(key string) *shape {
	for name := range strings.SplitSeq(key, ".") {
		s = s.children[name]
	}
	return s
}

func (l *loading) decode() *Config {
	c := &Config{File: l.sources.File, lookup: lookupIn(l.sources.Env)}
	err := l.ko.UnmarshalWithConf("", c, koanf.UnmarshalConf{
		DecoderConfig: &mapstructure.DecoderConfig{Result: c, TagName: "koanf", ErrorUnused: true},
	})
	if err != nil {
		// Values are parsed against the same struct before they come here.
		l.faults = append(l.faults, Fault{Where: l.sources.File, Problem: fmt.Sprintf("cannot be decoded: %v", err)})
	}
	return c
}

// unknownEnvironment refuses variables with our prefix that set nothing.
// Kubernetes sets some for a service that is named mailkeep; they are not ours.
func (l *loading) unknownEnvironment(c *Config) {
	known := l.keysBy(envName)
	for _, name := range EnvOfCommand {
		known[name] = ""
	}
	for _, name := range c.secretEnv() {
		known[name] = ""
	}
	for _, kv := range l.sources.Env {
		name, _, _ := strings.Cut(kv, "=")
		_, ok := known[name]
		if ok || !strings.HasPrefix(name, envPrefix) || isServiceLink(name) {
			continue
		}
		l.faults = append(l.faults, Fault{Where: name, Problem: "sets no key", Hint: envHint(name, known)})
	}
}

func isServiceLink(name string) bool {
	rest := strings.TrimPrefix(name, envPrefix)
	return rest == "SERVICE_HOST" || rest == "PORT" || strings.HasPrefix(rest, "SERVICE_PORT") || strings.HasPrefix(rest, "PORT_")
}

func envHint(name string, known map[string]string) string {
	names := make([]string, 0, len(known))
	for k := range known {
		names = append(names, strings.ToLower(k))
	}
	if near := nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean %s?", strings.ToUpper(near))
	}
	return "unset it; see mailkeep config reference for the keys"
}

// lookupIn returns the lookup of "NAME=value" strings; the last one wins.
func lookupIn(environ []string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := len(environ) - 1; i >= 0; i-- {
			if k, v, ok := strings.Cut(environ[i], "="); ok && k == name {
				return v, true
			}
		}
		return "", false
	}
}

func path(key string) string { return strings.ReplaceAll(key, ".", separator) }

func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

func flagName(key string) string { return strings.NewReplacer(".", "-", "_", "-").Replace(key) }
