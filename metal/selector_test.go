package metal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A declaration is a method as a header of Apple's SDK declares it; enumerations stand as their underlying type. The
// receivers are the classes that the package sends it to, a class itself with a +.
type declaration struct {
	header    string
	receivers string
	returns   string
	args      []string
}

// declarations was typed from Apple's headers as they are since macOS 15. A property is its getter, or its setter.
var declarations = map[string]declaration{
	"new": {"objc/NSObject.h",
		"+MTLCompileOptions +MTLFunctionConstantValues +MTLResidencySetDescriptor +MTLCaptureDescriptor", "id", nil},
	"retain": {"objc/NSObject.h", "MTLDevice MTLCommandBuffer", "self", nil},
	"release": {"objc/NSObject.h",
		"MTLDevice MTLBuffer MTLLibrary MTLFunction MTLComputePipelineState MTLCommandQueue MTLCommandBuffer " +
			"MTLSharedEvent MTLResidencySet NSArray", "void", nil},
	"respondsToSelector:": {"objc/NSObject.h", "MTLDevice", "BOOL", []string{"SEL"}},

	"stringWithUTF8String:": {"Foundation/NSString.h", "+NSString", "id", []string{"const char *"}},
	"UTF8String":            {"Foundation/NSString.h", "NSString", "const char *", nil},
	"localizedDescription":  {"Foundation/NSError.h", "NSError", "id", nil},
	"domain":                {"Foundation/NSError.h", "NSError", "id", nil},
	"code":                  {"Foundation/NSError.h", "NSError", "NSInteger", nil},
	"count":                 {"Foundation/NSArray.h", "NSArray", "NSUInteger", nil},
	"objectAtIndex:":        {"Foundation/NSArray.h", "NSArray", "id", []string{"NSUInteger"}},
	"fileURLWithPath:":      {"Foundation/NSURL.h", "+NSURL", "id", []string{"id"}},
	"dictionaryWithObjects:forKeys:count:": {"Foundation/NSDictionary.h", "+NSDictionary", "id",
		[]string{"const id *", "const id *", "NSUInteger"}},

	"label": {"MTLResource.h", "MTLBuffer", "id", nil},
	"setLabel:": {"MTLResource.h, MTLCommandQueue.h, MTLCommandBuffer.h, MTLCommandEncoder.h, MTLEvent.h, " +
		"MTLResidencySet.h",
		"MTLBuffer MTLCommandQueue MTLCommandBuffer MTLComputeCommandEncoder MTLBlitCommandEncoder MTLSharedEvent " +
			"MTLResidencySetDescriptor", "void", []string{"id"}},

	"name":                         {"MTLDevice.h, MTLLibrary.h", "MTLDevice MTLFunction", "id", nil},
	"supportsFamily:":              {"MTLDevice.h", "MTLDevice", "BOOL", []string{"NSInteger"}},
	"recommendedMaxWorkingSetSize": {"MTLDevice.h", "MTLDevice", "uint64_t", nil},
	"maxBufferLength":              {"MTLDevice.h", "MTLDevice", "NSUInteger", nil},
	"maxThreadgroupMemoryLength":   {"MTLDevice.h", "MTLDevice", "NSUInteger", nil},
	"hasUnifiedMemory":             {"MTLDevice.h", "MTLDevice", "BOOL", nil},
	"currentAllocatedSize":         {"MTLDevice.h", "MTLDevice", "NSUInteger", nil},
	"newBufferWithLength:options:": {"MTLDevice.h", "MTLDevice", "id", []string{"NSUInteger", "NSUInteger"}},
	"newBufferWithBytesNoCopy:length:options:deallocator:": {"MTLDevice.h", "MTLDevice", "id",
		[]string{"void *", "NSUInteger", "NSUInteger", "block"}},
	"newLibraryWithSource:options:error:":        {"MTLDevice.h", "MTLDevice", "id", []string{"id", "id", "id *"}},
	"newComputePipelineStateWithFunction:error:": {"MTLDevice.h", "MTLDevice", "id", []string{"id", "id *"}},
	"newCommandQueue":                            {"MTLDevice.h", "MTLDevice", "id", nil},
	"newCommandQueueWithMaxCommandBufferCount:":  {"MTLDevice.h", "MTLDevice", "id", []string{"NSUInteger"}},
	"setShouldMaximizeConcurrentCompilation:":    {"MTLDevice.h", "MTLDevice", "void", []string{"BOOL"}},
	"newSharedEvent":                             {"MTLDevice.h", "MTLDevice", "id", nil},
	"newResidencySetWithDescriptor:error:":       {"MTLDevice.h", "MTLDevice", "id", []string{"id", "id *"}},

	"contents": {"MTLBuffer.h", "MTLBuffer", "void *", nil},
	"length":   {"MTLBuffer.h", "MTLBuffer", "NSUInteger", nil},

	"setFastMathEnabled:":                       {"MTLLibrary.h", "MTLCompileOptions", "void", []string{"BOOL"}},
	"setLanguageVersion:":                       {"MTLLibrary.h", "MTLCompileOptions", "void", []string{"NSUInteger"}},
	"setPreprocessorMacros:":                    {"MTLLibrary.h", "MTLCompileOptions", "void", []string{"id"}},
	"functionNames":                             {"MTLLibrary.h", "MTLLibrary", "id", nil},
	"newFunctionWithName:":                      {"MTLLibrary.h", "MTLLibrary", "id", []string{"id"}},
	"newFunctionWithName:constantValues:error:": {"MTLLibrary.h", "MTLLibrary", "id", []string{"id", "id", "id *"}},
	"setConstantValue:type:atIndex:": {"MTLFunctionConstantValues.h", "MTLFunctionConstantValues", "void",
		[]string{"const void *", "NSUInteger", "NSUInteger"}},

	"maxTotalThreadsPerThreadgroup": {"MTLComputePipeline.h", "MTLComputePipelineState", "NSUInteger", nil},
	"threadExecutionWidth":          {"MTLComputePipeline.h", "MTLComputePipelineState", "NSUInteger", nil},
	"staticThreadgroupMemoryLength": {"MTLComputePipeline.h", "MTLComputePipelineState", "NSUInteger", nil},

	"commandBuffer":                         {"MTLCommandQueue.h", "MTLCommandQueue", "id", nil},
	"commandBufferWithUnretainedReferences": {"MTLCommandQueue.h", "MTLCommandQueue", "id", nil},
	"addResidencySet:":                      {"MTLCommandQueue.h", "MTLCommandQueue", "void", []string{"id"}},
	"removeResidencySet:":                   {"MTLCommandQueue.h", "MTLCommandQueue", "void", []string{"id"}},

	"computeCommandEncoderWithDispatchType:": {"MTLCommandBuffer.h", "MTLCommandBuffer", "id", []string{"NSUInteger"}},
	"blitCommandEncoder":                     {"MTLCommandBuffer.h", "MTLCommandBuffer", "id", nil},
	"encodeSignalEvent:value:": {"MTLCommandBuffer.h", "MTLCommandBuffer", "void",
		[]string{"id", "uint64_t"}},
	"encodeWaitForEvent:value:": {"MTLCommandBuffer.h", "MTLCommandBuffer", "void", []string{"id", "uint64_t"}},
	"commit": {"MTLCommandBuffer.h, MTLResidencySet.h", "MTLCommandBuffer MTLResidencySet", "void",
		nil},
	"waitUntilScheduled": {"MTLCommandBuffer.h", "MTLCommandBuffer", "void", nil},
	"waitUntilCompleted": {"MTLCommandBuffer.h", "MTLCommandBuffer", "void", nil},
	"status":             {"MTLCommandBuffer.h", "MTLCommandBuffer", "NSUInteger", nil},
	"error":              {"MTLCommandBuffer.h", "MTLCommandBuffer", "id", nil},
	"GPUStartTime":       {"MTLCommandBuffer.h", "MTLCommandBuffer", "double", nil},
	"GPUEndTime":         {"MTLCommandBuffer.h", "MTLCommandBuffer", "double", nil},

	"setComputePipelineState:": {"MTLComputeCommandEncoder.h", "MTLComputeCommandEncoder", "void",
		[]string{"id"}},
	"setBuffer:offset:atIndex:": {"MTLComputeCommandEncoder.h", "MTLComputeCommandEncoder", "void",
		[]string{"id", "NSUInteger", "NSUInteger"}},
	"setBuffers:offsets:withRange:": {"MTLComputeCommandEncoder.h", "MTLComputeCommandEncoder", "void",
		[]string{"const id *", "const NSUInteger *", "NSRange"}},
	"setBufferOffset:atIndex:": {"MTLComputeCommandEncoder.h", "MTLComputeCommandEncoder", "void",
		[]string{"NSUInteger", "NSUInteger"}},
	"setBytes:length:atIndex:": {"MTLComputeCommandEncoder.h", "MTLComputeCommandEncoder", "void",
		[]string{"const void *", "NSUInteger", "NSUInteger"}},
	"setThreadgroupMemoryLength:atIndex:": {"MTLComputeCommandEncoder.h", "MTLComputeCommandEncoder", "void",
		[]string{"NSUInteger", "NSUInteger"}},
	"dispatchThreadgroups:threadsPerThreadgroup:": {"MTLComputeCommandEncoder.h", "MTLComputeCommandEncoder", "void",
		[]string{"MTLSize", "MTLSize"}},
	"dispatchThreads:threadsPerThreadgroup:": {"MTLComputeCommandEncoder.h", "MTLComputeCommandEncoder", "void",
		[]string{"MTLSize", "MTLSize"}},
	"memoryBarrierWithScope:": {"MTLComputeCommandEncoder.h", "MTLComputeCommandEncoder", "void",
		[]string{"NSUInteger"}},
	"memoryBarrierWithResources:count:": {"MTLComputeCommandEncoder.h", "MTLComputeCommandEncoder", "void",
		[]string{"const id *", "NSUInteger"}},
	"useResource:usage:": {"MTLComputeCommandEncoder.h", "MTLComputeCommandEncoder", "void", []string{"id", "NSUInteger"}},
	"endEncoding":        {"MTLCommandEncoder.h", "MTLComputeCommandEncoder MTLBlitCommandEncoder", "void", nil},

	"copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:": {"MTLBlitCommandEncoder.h", "MTLBlitCommandEncoder",
		"void", []string{"id", "NSUInteger", "id", "NSUInteger", "NSUInteger"}},
	"fillBuffer:range:value:": {"MTLBlitCommandEncoder.h", "MTLBlitCommandEncoder", "void",
		[]string{"id", "NSRange", "uint8_t"}},

	"signaledValue":                     {"MTLEvent.h", "MTLSharedEvent", "uint64_t", nil},
	"setSignaledValue:":                 {"MTLEvent.h", "MTLSharedEvent", "void", []string{"uint64_t"}},
	"waitUntilSignaledValue:timeoutMS:": {"MTLEvent.h", "MTLSharedEvent", "BOOL", []string{"uint64_t", "uint64_t"}},

	"setInitialCapacity:":  {"MTLResidencySet.h", "MTLResidencySetDescriptor", "void", []string{"NSUInteger"}},
	"addAllocation:":       {"MTLResidencySet.h", "MTLResidencySet", "void", []string{"id"}},
	"removeAllocation:":    {"MTLResidencySet.h", "MTLResidencySet", "void", []string{"id"}},
	"removeAllAllocations": {"MTLResidencySet.h", "MTLResidencySet", "void", nil},
	"allocatedSize":        {"MTLResidencySet.h", "MTLResidencySet", "uint64_t", nil},
	"requestResidency":     {"MTLResidencySet.h", "MTLResidencySet", "void", nil},
	"endResidency":         {"MTLResidencySet.h", "MTLResidencySet", "void", nil},

	"sharedCaptureManager":              {"MTLCaptureManager.h", "+MTLCaptureManager", "id", nil},
	"supportsDestination:":              {"MTLCaptureManager.h", "MTLCaptureManager", "BOOL", []string{"NSInteger"}},
	"setCaptureObject:":                 {"MTLCaptureManager.h", "MTLCaptureDescriptor", "void", []string{"id"}},
	"setDestination:":                   {"MTLCaptureManager.h", "MTLCaptureDescriptor", "void", []string{"NSInteger"}},
	"setOutputURL:":                     {"MTLCaptureManager.h", "MTLCaptureDescriptor", "void", []string{"id"}},
	"startCaptureWithDescriptor:error:": {"MTLCaptureManager.h", "MTLCaptureManager", "BOOL", []string{"id", "id *"}},
	"stopCapture":                       {"MTLCaptureManager.h", "MTLCaptureManager", "void", nil},
}

// words is how many words a type takes in a message of the integer registers.
var words = map[string]int{
	"id": 1, "id *": 1, "const id *": 1, "SEL": 1, "block": 1,
	"void *": 1, "const void *": 1, "const char *": 1, "const NSUInteger *": 1,
	"NSInteger": 1, "NSUInteger": 1, "uint64_t": 1, "uint8_t": 1, "BOOL": 1,
	"NSRange": 2, "MTLSize": 3,
}

// classes returns the receivers.
func (d declaration) classes() []string { return strings.Fields(d.receivers) }

// words of a message's arguments; 0 for a type that the integer registers don't carry.
func (d declaration) words(t *testing.T) int {
	n := 0
	for _, arg := range d.args {
		require.Contains(t, words, arg, "an argument type that send cannot pass")
		n += words[arg]
	}
	return n
}

func TestSelectorNotInAppleHeaders(t *testing.T) {
	variables := selectorVariables(t)
	used := map[string]bool{}
	for variable, name := range variables {
		used[name] = true
		d, ok := declarations[name]
		require.True(t, ok, "%s: no declaration of %q", variable, name)
		require.NotEmpty(t, d.header, name)
		require.Equal(t, strings.Count(name, ":"), len(d.args), "colons and arguments of %q in %s", name, d.header)
		require.Equal(t, "sel_"+strings.TrimRight(strings.ReplaceAll(name, ":", "_"), "_"), variable)
	}
	for name := range declarations {
		require.True(t, used[name], "%q is declared in the table and never used", name)
	}
}

// TestMessageAgainstDeclaration reads every send of the package and holds it against the table: the number of words,
// sizes by value only through sendSizes, and the register that the result comes in.
func TestMessageAgainstDeclaration(t *testing.T) {
	variables := selectorVariables(t)
	sent := map[string]bool{}
	for _, file := range sources(t) {
		dropped, booleans := map[*ast.CallExpr]bool{}, map[*ast.CallExpr]bool{} // by what happens to the result of a call
		ast.Inspect(file.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				// The senders themselves pass a selector on.
				return !strings.HasPrefix(n.Name.Name, "send")
			case *ast.ExprStmt:
				if call, ok := n.X.(*ast.CallExpr); ok {
					dropped[call] = true
				}
			case *ast.Ident:
				if _, ok := variables[n.Name]; ok && file.name != "selector.go" {
					sent[n.Name] = true
				}
			case *ast.CallExpr:
				sender, ok := n.Fun.(*ast.Ident)
				if ok && sender.Name == "yes" {
					booleans[n.Args[0].(*ast.CallExpr)] = true
				}
				if !ok || !strings.HasPrefix(sender.Name, "send") {
					break
				}
				where := file.set.Position(n.Pos()).String()
				selector, ok := n.Args[1].(*ast.Ident)
				require.True(t, ok, "%s: the selector must be one of the block's", where)
				d, ok := declarations[variables[selector.Name]]
				require.True(t, ok, "%s: %s is not in the block", where, selector.Name)
				require.Equal(t, token.NoPos, n.Ellipsis, "%s: spell the arguments out", where)

				if sender.Name == "send" {
					require.False(t, takesAddress(n), "%s: an address needs sendWithPointers", where)
				}
				sizes := d.args != nil && d.args[0] == "MTLSize"
				given := len(n.Args) - 2
				switch sender.Name {
				case "sendSizes":
					require.True(t, sizes && given == 2, "%s: %s takes %v", where, selector.Name, d.args)
				case "send", "sendWithPointers", "sendDouble":
					require.False(t, sizes, "%s: %s takes sizes by value", where, selector.Name)
					require.Equal(t, d.words(t), given, "%s: words of %s, declared in %s with %v", where, selector.Name, d.header,
						d.args)
				default:
					require.Fail(t, "unknown sender", "%s: %s", where, sender.Name)
				}

				require.Equal(t, d.returns == "double", sender.Name == "sendDouble", "%s: %s returns %s", where, selector.Name,
					d.returns)
				require.Equal(t, d.returns == "BOOL", booleans[n], "%s: %s returns %s", where, selector.Name, d.returns)
				require.Equal(t, d.returns == "void" || d.returns == "self", dropped[n], "%s: %s returns %s", where, selector.Name,
					d.returns)
			}
			return true
		})
	}
	for variable := range variables {
		require.True(t, sent[variable], "%s is never sent", variable)
	}
}

// takesAddress reports whether an argument of a call has the address of a variable in it.
func takesAddress(call *ast.CallExpr) bool {
	found := false
	ast.Inspect(call, func(n ast.Node) bool {
		address, ok := n.(*ast.UnaryExpr)
		found = found || ok && address.Op == token.AND
		return true
	})
	return found
}

type source struct {
	name string
	set  *token.FileSet
	tree *ast.File
}

// sources parses the package, tests left out, of every system and architecture.
func sources(t *testing.T) []source {
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	var all []source
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, name, nil, 0)
		require.NoError(t, err)
		all = append(all, source{name, set, tree})
	}
	require.Greater(t, len(all), 10, "the test must run in the package's folder")
	return all
}

// selectorVariables maps the variables of the selector block to their selectors.
func selectorVariables(t *testing.T) map[string]string {
	variables := map[string]string{}
	for _, file := range sources(t) {
		ast.Inspect(file.tree, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			call, ok := spec.Values[0].(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.Ident); !ok || f.Name != "newSelector" {
				return true
			}
			require.Equal(t, "selector.go", file.name, "selectors belong in one block")
			name, err := strconv.Unquote(call.Args[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			variables[spec.Names[0].Name] = name
			return true
		})
	}
	return variables
}
