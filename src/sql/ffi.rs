//! The one call that `pg_query` does not wrap: its error drops the cursor position.

#![allow(unsafe_code)]

use std::ffi::{CString, c_char, c_int};

#[repr(C)]
struct PgQueryError {
    message: *mut c_char,
    funcname: *mut c_char,
    filename: *mut c_char,
    lineno: c_int,
    cursorpos: c_int,
    context: *mut c_char,
}

#[repr(C)]
struct PgQueryProtobuf {
    len: usize,
    data: *mut c_char,
}

#[repr(C)]
struct PgQueryProtobufParseResult {
    parse_tree: PgQueryProtobuf,
    stderr_buffer: *mut c_char,
    error: *mut PgQueryError,
}

unsafe extern "C" {
    fn pg_query_parse_protobuf_opts(input: *const c_char, parser_options: c_int) -> PgQueryProtobufParseResult;
    fn pg_query_free_protobuf_parse_result(result: PgQueryProtobufParseResult);
}

/// 1-based position, in characters, of the syntax error in `text`; `None` when there is none or the parser
/// gives no position.
pub(super) fn error_position(text: &str) -> Option<usize> {
    let input = CString::new(text).ok()?;
    // SAFETY: `input` is a NUL-terminated string that outlives the call; the result is freed exactly once and
    // not used afterwards; `error` is null or points into the result. The declarations mirror pg_query.h.
    let position = unsafe {
        let result = pg_query_parse_protobuf_opts(input.as_ptr(), 0);
        let position = if result.error.is_null() { 0 } else { (*result.error).cursorpos };
        pg_query_free_protobuf_parse_result(result);
        position
    };
    usize::try_from(position).ok().filter(|position| *position > 0)
}
