package textfile

// The compiler's complaint about this name tells who builds for Windows; the packages need Unix's calls for files,
// mappings and terminals.
func init() { glm4_metal_runs_on_macOS_and_Linux_but_not_on_Windows() }
