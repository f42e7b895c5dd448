//go:build unix && !(linux && (386 || arm || mips || mipsle))

package vfs

func statName(name string, flags int) (Info, error) { return plainStatName(name, flags) }
func statDescriptor(fd int) (Info, error)           { return plainStatDescriptor(fd) }
func setTimes(name string, ns int64) error          { return plainSetTimes(name, ns) }
