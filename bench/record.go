package bench

// Record appends rows to a CSV file, which it makes where there is none. The file is whole before and after.
func Record(name string, rows []Row) error { panic("not written") }

// ResultsName is the file in a folder of results that a machine's rows belong into, such as amd-epyc-2-cores.csv.
func ResultsName(m Machine) string { panic("not written") }
