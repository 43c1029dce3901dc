package rewrite

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A parameter of a kernel, as the registration needs it.
type parameter struct {
	name, typ string
	kind      string // of sim::Argument
	space     string // of sim::Space
	builtin   string // of sim::Builtin
	index     string
	enabled   string // function constant
	line      int
}

// The builtins of a kernel: whether they may be vectors.
var builtins = map[string]bool{
	"thread_position_in_grid":          true,
	"thread_position_in_threadgroup":   true,
	"threadgroup_position_in_grid":     true,
	"threads_per_grid":                 true,
	"threads_per_threadgroup":          true,
	"dispatch_threads_per_threadgroup": true,
	"threadgroups_per_grid":            true,
	"thread_index_in_threadgroup":      false,
	"thread_index_in_simdgroup":        false,
	"simdgroup_index_in_threadgroup":   false,
	"simdgroups_per_threadgroup":       false,
	"threads_per_simdgroup":            false,
	"thread_execution_width":           false,
	"thread_index_in_quadgroup":        false,
	"quadgroup_index_in_threadgroup":   false,
	"quadgroups_per_threadgroup":       false,
}

// Buffers and pieces of threadgroup memory that a kernel may have.
const argumentSlots = 31

// kernelParameters reads the parameters between the parentheses of a kernel and strips their attributes.
func (p *parser) kernelParameters(f *function, open, close int) {
	if f.arity == 0 {
		return
	}
	taken := map[string]string{}
	components := 0
	var implicit []int // parameters without an index
	for _, part := range p.split(open+1, close) {
		q := parameter{kind: "builtin", space: "device", builtin: "none", index: "0"}
		end := part[1]
		var list []attribute
		for k := part[0]; k < part[1]; k++ {
			if p.is(k, "[") && p.is(k+1, "[") && p.match[k] > 0 {
				list = append(list, p.attributes(k)...)
				end = min(end, k)
				k = p.match[k]
			}
		}
		if end <= part[0] {
			continue
		}
		name := end - 1
		for name > part[0] && p.tokens[name].kind != word {
			name--
		}
		at := &p.tokens[name]
		q.name, q.line = at.text, at.line
		q.typ = p.join(part[0], name)
		pointer, threadgroup := false, false
		for k := part[0]; k < name; k++ {
			switch p.tokens[k].text {
			case "constant":
				q.space = "constant"
			case "threadgroup":
				threadgroup = true
			case "*", "&":
				pointer = true
			}
		}
		for k := name + 1; k < end; k++ {
			pointer = pointer || p.is(k, "[")
		}
		bound := ""
		for _, a := range list {
			t := &p.tokens[a.at]
			vectors, isBuiltin := builtins[a.name]
			switch {
			case a.name == "function_constant":
				q.enabled = a.arguments
				a.erase(p)
				continue
			case bound != "":
				p.fail(t, "parameter '%s' has both attribute '%s' and attribute '%s'", q.name, bound, a.name)
			case a.name == "buffer" || a.name == "threadgroup":
				p.slot(&q, a, pointer, threadgroup, taken)
			case isBuiltin:
				q.builtin = a.name
				n := p.builtinType(&q, a, vectors)
				if n > 1 && components > 1 && n != components {
					p.fail(t, "attribute '%s' of '%s' has %d components, but another position or size in the grid has %d", a.name,
						q.name, n, components)
				}
				if n > 1 {
					components = n
				}
				if other, dup := taken[a.name]; dup {
					p.fail(t, "duplicate attribute '%s': on '%s' and on '%s'", a.name, other, q.name)
				}
				taken[a.name] = q.name
			case a.name == "texture" || a.name == "sampler" || a.name == "stage_in" || a.name == "id":
				p.fail(t, "attribute '%s' of '%s' is outside what this stand-in runs: buffers and threadgroup memory", a.name,
					q.name)
			default:
				p.fail(t, "unknown attribute '%s' of parameter '%s'", a.name, q.name)
			}
			bound = a.name
			a.erase(p)
		}
		if bound == "" {
			if pointer {
				implicit = append(implicit, len(f.args))
				p.memory(&q, at, threadgroup)
			} else {
				p.fail(at, "invalid type '%s' for input declaration in a kernel function: parameter '%s' has no attribute such "+
					"as [[buffer(0)]]", q.typ, q.name)
			}
		}
		f.args = append(f.args, q)
	}
	// Metal gives them the lowest that are free, in their order.
	for _, k := range implicit {
		q := &f.args[k]
		attribute := "buffer"
		if q.kind == "threadgroup_memory" {
			attribute = "threadgroup"
		}
		for n := 0; ; n++ {
			q.index = strconv.Itoa(n)
			if _, used := taken[attribute+q.index]; !used {
				break
			}
		}
		taken[attribute+q.index] = q.name
	}
}

// slot reads [[buffer(n)]] or [[threadgroup(n)]].
func (p *parser) slot(q *parameter, a attribute, pointer, threadgroup bool, taken map[string]string) {
	t := &p.tokens[a.at]
	q.index = a.arguments
	if n, err := strconv.ParseUint(strings.TrimRight(a.arguments, "uU"), 0, 32); err == nil {
		q.index = strconv.FormatUint(n, 10)
		if n >= argumentSlots {
			p.fail(t, "'%s' attribute parameter is out of bounds: must be between 0 and %d", a.name, argumentSlots-1)
		}
	} else if a.arguments == "" {
		p.fail(t, "attribute '%s' of '%s' needs an index", a.name, q.name)
	}
	if other, dup := taken[a.name+q.index]; dup {
		p.fail(t, "cannot reserve '%s' resource location at index %s: taken by '%s'", a.name, q.index, other)
	}
	taken[a.name+q.index] = q.name
	if !pointer {
		p.fail(t, "type '%s' is not valid for attribute '%s': a pointer or a reference is", q.typ, a.name)
		return
	}
	if a.name == "threadgroup" && !threadgroup {
		p.fail(t, "attribute 'threadgroup' needs a pointer to 'threadgroup' memory, not '%s'", q.typ)
		return
	}
	if a.name == "buffer" && threadgroup {
		p.fail(t, "attribute 'buffer' cannot be applied to 'threadgroup' memory: it takes [[threadgroup(n)]]")
		return
	}
	p.memory(q, t, threadgroup)
}

// memory settles what kind of memory a pointer or reference is to.
func (p *parser) memory(q *parameter, t *token, threadgroup bool) {
	spaces := 0
	for _, s := range strings.Fields(q.typ) {
		if s == "device" || s == "constant" || s == "threadgroup" {
			spaces++
		}
	}
	if spaces == 0 {
		p.fail(t, "parameter '%s' needs an address space: device, constant or threadgroup", q.name)
	}
	q.kind = "buffer"
	if threadgroup {
		q.kind, q.space = "threadgroup_memory", "threadgroup"
	}
}

// builtinType checks the type of a builtin and gives its components, or 0 for a type that only clang knows.
func (p *parser) builtinType(q *parameter, a attribute, vectors bool) int {
	var words []string
	for _, w := range strings.Fields(strings.ReplaceAll(q.typ, "metal::", "")) {
		if w != "const" && w != "thread" {
			words = append(words, w)
		}
	}
	n := 0
	switch strings.Join(words, " ") {
	case "uint", "ushort", "unsigned int", "unsigned short", "unsigned", "uint32_t", "uint16_t":
		n = 1
	case "uint2", "ushort2", "vec<uint, 2>", "vec<ushort, 2>":
		n = 2
	case "uint3", "ushort3", "vec<uint, 3>", "vec<ushort, 3>":
		n = 3
	case "int", "short", "long", "ulong", "float", "half", "char", "uchar", "bool", "size_t", "uint4", "ushort4", "int2",
		"int3", "short2", "short3", "float2", "float3":
		p.fail(&p.tokens[a.at], "type '%s' is not valid for attribute '%s'", q.typ, a.name)
	}
	if n > 1 && !vectors {
		p.fail(&p.tokens[a.at], "type '%s' is not valid for attribute '%s': a scalar is", q.typ, a.name)
	}
	return n
}

// instantiation reads `template [[host_name("x")]] [[kernel]] ... f<...>...;` from i on.
func (p *parser) instantiation(i, end int, namespace []string) int {
	after := p.statementEnd(i, end)
	semicolon := after - 1
	in := instance{line: p.tokens[i].line, column: p.tokens[i].column, namespace: namespace}
	kernel := false
	for k := i + 1; k < semicolon; k++ {
		if p.is(k, "kernel") {
			kernel = true
		}
		if p.is(k, "[") && p.is(k+1, "[") && p.match[k] > 0 {
			for _, a := range p.attributes(k) {
				switch a.name {
				case "host_name":
					in.host = a.text()
				case "kernel":
					kernel = true
				case "max_total_threads_per_threadgroup":
					in.maxThreads = a.arguments
				default:
					if _, builtin := builtins[a.name]; !builtin && a.name != "buffer" && a.name != "threadgroup" &&
						a.name != "function_constant" {
						p.fail(&p.tokens[a.at], "unknown attribute '%s'", a.name)
					}
				}
				a.erase(p)
			}
			k = p.match[k]
		}
	}
	if in.host == "" {
		return after
	}
	last := semicolon - 1
	for last > i && p.tokens[last].exec == "" {
		last--
	}
	if p.is(last, ")") && p.match[last] > i {
		last = p.match[last] - 1
	}
	if !p.is(last, ">") {
		p.fail(&p.tokens[i], "explicit instantiation of '%s' needs its template arguments, as in f<float>", in.host)
		return after
	}
	less := p.angleBack(last, i)
	if less <= i+1 || p.tokens[less-1].kind != word {
		return after
	}
	first := less - 1
	for first-2 > i && p.is(first-1, "::") && p.tokens[first-2].kind == word {
		first -= 2
	}
	in.name = p.tokens[less-1].text
	in.qualified = p.join(first, less)
	in.arguments = p.join(less, last+1)
	if !kernel {
		p.fail(&p.tokens[i], "explicit instantiation with host_name '%s' is not declared kernel", in.host)
	}
	p.instances = append(p.instances, in)
	return after
}

// register lists what can be asked for by name, and writes the definition of sim_module.
func (p *parser) register() string {
	hosts := map[string]int{}
	add := func(e entry, line, column int) {
		if other, dup := hosts[e.host]; dup {
			p.errors = append(p.errors, Error{line, column, fmt.Sprintf("host name '%s' is taken at line %d", e.host, other)})
			return
		}
		hosts[e.host] = line
		p.entries = append(p.entries, e)
	}
	for _, f := range p.kernels {
		if len(f.template) > 0 {
			continue
		}
		add(entry{host: orElse(f.host, f.qualified), function: f.qualified, maxThreads: orElse(f.maxThreads, "0"),
			line: f.line, of: f}, f.line, 1)
	}
	for _, in := range p.instances {
		var of *function
		for _, f := range p.functions[in.name] {
			if f.kernel && len(f.template) > 0 {
				of = f
			}
		}
		if of == nil {
			p.errors = append(p.errors,
				Error{in.line, in.column, fmt.Sprintf("explicit instantiation of '%s' does not refer to a kernel function template",
					in.name)})
			continue
		}
		scope := strings.TrimSuffix(of.qualified, of.name)
		e := entry{host: in.host, function: scope + of.name + in.arguments, maxThreads: "0", line: of.line, of: of}
		if of.maxThreads != "" {
			e.maxThreads = scope + "_sim_max_threads_" + of.name + in.arguments
		}
		if in.maxThreads != "" {
			e.maxThreads = in.maxThreads
		}
		add(e, in.line, in.column)
	}
	return p.module()
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// module writes the C++ that follows Exec.
func (p *parser) module() string {
	var b strings.Builder
	enabled := map[string]string{}
	var done []*function
	b.WriteString("static void _sim_late() {\n")
	for _, f := range p.late {
		fmt.Fprintf(&b, "  %s();\n", f)
	}
	b.WriteString("}\n")
	for _, e := range p.entries {
		if slices.Contains(done, e.of) || len(e.of.args) == 0 {
			continue
		}
		done = append(done, e.of)
		for _, q := range e.of.args {
			if q.enabled != "" && enabled[q.enabled] == "" {
				name := fmt.Sprintf("_sim_enabled_%d", len(enabled))
				enabled[q.enabled] = name
				fmt.Fprintf(&b, "#line %d \"program_source\"\nstatic bool %s() { metal_sim::specialise(); return %s; }\n", q.line,
					name, q.enabled)
			}
		}
		fmt.Fprintf(&b, "#line %d \"program_source\"\nstatic constexpr metal_sim::Parameter _sim_parameters_%d[] = {",
			e.of.line, e.of.id)
		for _, q := range e.of.args {
			fmt.Fprintf(&b, "{sim::Argument::%s, sim::Space::%s, sim::Builtin::%s, %s, %d, %q, %q, %s}, ",
				q.kind, q.space, q.builtin, q.index, q.line, q.name, q.typ, orElse(enabled[q.enabled], "nullptr"))
		}
		b.WriteString("};\n")
	}
	b.WriteString("extern \"C\" __attribute__((visibility(\"default\"))) const sim::Module *sim_module(const " +
		"sim::Runtime *rt) {\n")
	b.WriteString("  metal_sim::rt = rt;\n  metal_sim::late = _sim_late;\n  static const sim::Kernel kernels[] = {\n")
	for _, e := range p.entries {
		parameters := "nullptr"
		if len(e.of.args) > 0 {
			parameters = fmt.Sprintf("_sim_parameters_%d", e.of.id)
		}
		fmt.Fprintf(&b, "#line %d \"program_source\"\n    metal_sim::entry<&%s, %s>::make(%q, %s, %d),\n", e.line, e.function,
			parameters, e.host, e.maxThreads, e.line)
	}
	b.WriteString("    {}};\n  static const sim::FunctionConstant constants[] = {\n")
	for _, c := range p.fixed {
		fmt.Fprintf(&b, "#line %d \"program_source\"\n    {%q, %s, metal_sim::data_type<%s>::value, sizeof(%s), "+
			"&_sim_defined_%s, &_sim_value_%s},\n",
			c.line, c.name, c.index, c.typ, c.typ, c.name, c.name)
	}
	b.WriteString("    {}};\n")
	fmt.Fprintf(&b, "  static const sim::Module module = {1, METAL_SIM_COUNTED, METAL_SIM_FLUSH, "+
		"kernels, %d, constants, %d};\n  return &module;\n}\n", len(p.entries), len(p.fixed))
	return b.String()
}
