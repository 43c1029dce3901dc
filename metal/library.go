package metal

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unsafe"
)

// A LanguageVersion is a version of the Metal Shading Language.
//
// Reference: https://developer.apple.com/documentation/metal/mtllanguageversion?language=objc
type LanguageVersion uint

const (
	Language2_4 LanguageVersion = 2<<16 | 4 // macOS 12
	Language3_0 LanguageVersion = 3 << 16   // macOS 13
	Language3_1 LanguageVersion = 3<<16 | 1 // macOS 14
	Language3_2 LanguageVersion = 3<<16 | 2 // macOS 15
	Language4_0 LanguageVersion = 4 << 16   // macOS 26; C++17, the others C++14
)

// SystemLanguage is the newest C++14 version of the language that the system's Metal knows; 0 where there is no such
// system.
func SystemLanguage() LanguageVersion { return languageOf(SystemVersion()) }

// languageOf is the newest language of a version of macOS, such as "15.6.1".
func languageOf(system string) LanguageVersion {
	major, _, _ := strings.Cut(system, ".")
	switch n, err := strconv.Atoi(major); {
	case err != nil || n < 12:
		return 0
	case n == 12:
		return Language2_4
	case n == 13:
		return Language3_0
	case n == 14:
		return Language3_1
	}
	return Language3_2
}

// CompileOptions change how Metal compiles source.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcompileoptions?language=objc
type CompileOptions struct {
	// PreciseMath turns off the fast math that Metal compiles with otherwise: it may reorder sums and assumes that
	// there are no NaNs and infinities.
	PreciseMath bool
	// Language is the version of the language; [SystemLanguage] is the newest. With 0 Metal takes what is right for the
	// system that the binary was linked for, which of one that Go links without cgo is macOS 12: Language2_4.
	Language LanguageVersion
	// Macros are defined before the source.
	Macros map[string]string
}

// A Library is compiled shader source.
//
// Reference: https://developer.apple.com/documentation/metal/mtllibrary?language=objc
type Library struct{ Object }

// NewLibrary compiles source. The error of a source that does not compile is an [*Error] with the compiler's messages.
//
// Reference: https://developer.apple.com/documentation/metal/mtldevice/makelibrary(source:options:)?language=objc
func (d Device) NewLibrary(source string, options CompileOptions) (l Library, err error) {
	withPool(func() {
		text, e := nsString(source)
		if e != nil {
			err = fmt.Errorf("metal: shader source: %w", e)
			return
		}
		compileOptions := send(class_MTLCompileOptions.id, sel_new)
		defer Object{compileOptions}.Release()
		if err = options.set(compileOptions); err != nil {
			return
		}
		var nsError uintptr
		l.id = sendWithPointers(d.id, sel_newLibraryWithSource_options_error, text, compileOptions,
			uintptr(unsafe.Pointer(&nsError)))
		if l.id == 0 {
			err = newError("compile shader source", nsError)
		}
	})
	return l, err
}

// set sets the properties of an MTLCompileOptions.
func (o CompileOptions) set(compileOptions uintptr) error {
	fast := uintptr(1)
	if o.PreciseMath {
		fast = 0
	}
	// Deprecated in macOS 15 in favour of mathMode, which older systems lack.
	send(compileOptions, sel_setFastMathEnabled, fast)
	if o.Language != 0 {
		send(compileOptions, sel_setLanguageVersion, uintptr(o.Language))
	}
	if len(o.Macros) == 0 {
		return nil
	}
	var names, values []uintptr
	for name, value := range o.Macros {
		n, err := nsString(name)
		if err != nil {
			return fmt.Errorf("metal: macro %q: %w", name, err)
		}
		v, err := nsString(value)
		if err != nil {
			return fmt.Errorf("metal: macro %q: its value: %w", name, err)
		}
		names, values = append(names, n), append(values, v)
	}
	macros := sendWithPointers(class_NSDictionary.id, sel_dictionaryWithObjects_forKeys_count,
		uintptr(unsafe.Pointer(&values[0])), uintptr(unsafe.Pointer(&names[0])), uintptr(len(names)))
	send(compileOptions, sel_setPreprocessorMacros, macros)
	return nil
}

// FunctionNames returns the names of the library's functions, sorted.
//
// Reference: https://developer.apple.com/documentation/metal/mtllibrary/functionnames?language=objc
func (l Library) FunctionNames() (names []string) {
	withPool(func() {
		array := send(l.id, sel_functionNames)
		for i := range send(array, sel_count) {
			names = append(names, goString(send(array, sel_objectAtIndex, i)))
		}
	})
	slices.Sort(names)
	return names
}

// FunctionConstants are the values of a kernel's [[function_constant(index)]] variables. The zero value sets none; make
// one that does with NewFunctionConstants.
//
// Reference: https://developer.apple.com/documentation/metal/mtlfunctionconstantvalues?language=objc
type FunctionConstants struct{ Object }

// NewFunctionConstants returns an empty set of values.
func (m *Metal) NewFunctionConstants() FunctionConstants {
	return FunctionConstants{Object{send(class_MTLFunctionConstantValues.id, sel_new)}}
}

// MTLDataType of the constants' types.
//
// Reference: https://developer.apple.com/documentation/metal/mtldatatype?language=objc
const (
	dataTypeFloat = 3
	dataTypeInt   = 29
	dataTypeUint  = 33
	dataTypeBool  = 53
)

// SetInt sets an int.
func (c FunctionConstants) SetInt(index int, value int32) {
	c.set(unsafe.Pointer(&value), dataTypeInt, index)
}

// SetUint sets a uint.
func (c FunctionConstants) SetUint(index int, value uint32) {
	c.set(unsafe.Pointer(&value), dataTypeUint, index)
}

// SetBool sets a bool.
func (c FunctionConstants) SetBool(index int, value bool) {
	c.set(unsafe.Pointer(&value), dataTypeBool, index)
}

// SetFloat sets a float.
func (c FunctionConstants) SetFloat(index int, value float32) {
	c.set(unsafe.Pointer(&value), dataTypeFloat, index)
}

// set copies the value.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlfunctionconstantvalues/setconstantvalue(_:type:index:)?language=objc
func (c FunctionConstants) set(value unsafe.Pointer, dataType uintptr, index int) {
	sendWithPointers(c.id, sel_setConstantValue_type_atIndex, uintptr(value), dataType, uintptr(index))
}

// A Function is one kernel of a library, with its function constants set.
//
// Reference: https://developer.apple.com/documentation/metal/mtlfunction?language=objc
type Function struct{ Object }

// NewFunction returns the kernel of that name, specialised by the constants. A kernel that needs constants which are
// not set is an error here or when its pipeline is made.
//
// Reference: https://developer.apple.com/documentation/metal/mtllibrary/makefunction(name:)?language=objc
// and https://developer.apple.com/documentation/metal/mtllibrary/makefunction(name:constantvalues:)?language=objc
func (l Library) NewFunction(name string, constants FunctionConstants) (f Function, err error) {
	withPool(func() {
		var key, nsError uintptr
		if key, err = nsString(name); err != nil {
			err = fmt.Errorf("metal: function name: %w", err)
			return
		}
		if constants.id == 0 {
			f.id = send(l.id, sel_newFunctionWithName, key)
		} else {
			f.id = sendWithPointers(l.id, sel_newFunctionWithName_constantValues_error, key, constants.id,
				uintptr(unsafe.Pointer(&nsError)))
		}
		if f.id != 0 {
			return
		}
		if names := l.FunctionNames(); !slices.Contains(names, name) {
			err = fmt.Errorf("metal: the library has no function %q; it has %s", name, strings.Join(names, ", "))
			return
		}
		err = newError("specialise function "+name, nsError)
	})
	return f, err
}
