package vfs

var IsInMountTable = isInMountTable
