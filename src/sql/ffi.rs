//! The one call that `pg_query` wraps in a way that does not serve here: its error drops the cursor position, and its
//! result walks every tree once more for lists that nobody here reads.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int};

use pg_query::protobuf::ParseResult;
use prost::Message;

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

/// Why there is no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoTree {
    /// The grammar does not accept the text.
    Syntax {
        /// The parser's message.
        message: String,
        /// 1-based position in characters, where the parser gives one.
        position: Option<usize>,
    },
    /// The tree has more than the hundred levels that its form outside of the parser holds.
    TooDeep,
    /// The text contains a NUL byte.
    Nul,
}

/// The parse tree of a text.
///
/// # Errors
/// [`NoTree`].
pub(super) fn parse(text: &str) -> Result<ParseResult, NoTree> {
    let input = CString::new(text).map_err(|_| NoTree::Nul)?;
    // SAFETY: `input` is a NUL-terminated string that outlives the call; the result is freed exactly once and not used
    // afterwards; `error` is null or points into the result, as do its message and the tree, which is `len` bytes
    // long. The declarations mirror pg_query.h.
    unsafe {
        let result = pg_query_parse_protobuf_opts(input.as_ptr(), 0);
        let parsed = if let Some(error) = result.error.as_ref() {
            Err(NoTree::Syntax {
                message: CStr::from_ptr(error.message).to_string_lossy().into_owned(),
                position: usize::try_from(error.cursorpos).ok().filter(|position| *position > 0),
            })
        } else if result.parse_tree.len == 0 {
            Ok(ParseResult::default())
        } else {
            let tree = std::slice::from_raw_parts(result.parse_tree.data.cast::<u8>(), result.parse_tree.len);
            ParseResult::decode(tree).map_err(|_| NoTree::TooDeep)
        };
        pg_query_free_protobuf_parse_result(result);
        parsed
    }
}
