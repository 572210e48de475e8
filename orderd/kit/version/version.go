// Package version says which version of orderd a program was built from.
package version

import "runtime/debug"

// linked is set by the linker: `go build -ldflags "$(hack/version.sh ldflags)"`.
var linked string

// unreleased is what a program calls itself that was built in another way than make and the images
// do.
const unreleased = "0.0.0-devel"

// String returns the version that hack/version.sh gave when this program was built, always a
// SemVer such as "0.1.0" or "0.1.0-14-g4d69daa". A program of plain `go build` says "0.0.0-devel",
// and the commit too where the go command has noted it: "0.0.0-devel-g4d69daa", with "-dirty"
// behind it if files were changed.
func String() string {
	if linked != "" {
		return linked
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unreleased
	}
	return ofBuild(info.Settings)
}

func ofBuild(settings []debug.BuildSetting) string {
	version, dirty := unreleased, ""
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 7:
			version += "-g" + s.Value[:7]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	return version + dirty
}
