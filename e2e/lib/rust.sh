# shellcheck shell=bash
# What building the product needs. Sourced after common.sh.

need_rust() {
	need_command cargo "install Rust (rust-toolchain.toml names the version): https://rustup.rs"
	have_c_parser_tools || need_apt gcc libc6-dev libclang1-14 libclang-common-14-dev
}

# The SQL parser is C: it takes a compiler, libclang, and the headers that belong to that libclang.
have_c_parser_tools() {
	type -P cc >/dev/null && [[ -e /usr/include/stdlib.h ]] || return 1
	[[ -n ${LIBCLANG_PATH:-} ]] && return
	local library
	for library in /usr/lib/llvm-*/lib; do
		if compgen -G "$library/libclang*.so*" >/dev/null && compgen -G "$library/clang/*/include/stdbool.h" >/dev/null; then
			return 0
		fi
	done
	return 1
}

# need_cargo_tool NAME VERSION: a tool from the crate registry, built once.
need_cargo_tool() {
	"$1" --version 2>/dev/null | grep -qF "$2" && return
	progress "building $1 $2" cargo install --locked --quiet "$1@$2"
}
