//! One HTTP exchange: what an endpoint asks for, and what it is told of it when the answer is there.

use abi_stable::{
    StableAbi,
    std_types::{RSlice, RStr, RString, RVec},
};

/// A header of the exchange.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Field name.
    pub name: RString,
    /// Field value.
    pub value: RString,
}

/// One HTTP exchange to be made. An endpoint fills it in; the host sends it.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, Default)]
pub struct Outgoing {
    /// `POST` when empty.
    pub method: RString,
    /// Where it goes, with a query if need be. Empty: the endpoint's own path.
    ///
    /// - A path stands below the URL that the user gave, as the endpoint's own path does: with `--url http://host/api`,
    ///   `/v1/jobs/7` is sent as `/api/v1/jobs/7`. A path that begins with `/api/` is sent as it is, since servers differ in
    ///   whether they know of such a prefix. The query of the user's URL comes before the path's own.
    /// - A whole URL is followed as it is if it lies on the server that is being asked (same scheme, host and port). On
    ///   another one it fails the request: the user's headers, and keys among them, are meant for this server alone.
    pub path: RString,
    /// `application/json` when empty; none for another method than `POST` without a body.
    pub content_type: RString,
    /// Further headers.
    pub headers: RVec<Header>,
    /// The body.
    pub body: RVec<u8>,
    /// Wait this long before sending (polling); in nanoseconds.
    pub delay_ns: u64,
    /// The first word is the state, see [`Outgoing::state`]; the others are zero.
    pub reserved: [u64; 4],
}

impl Outgoing {
    /// What the endpoint will be told again with this exchange's answer, as [`Exchange::state`]. Its meaning is the
    /// endpoint's own: a step of its protocol, a count of polls. Since 1.1.
    pub const fn state(&self) -> u64 {
        self.reserved[0]
    }

    /// The same exchange with a state.
    #[must_use]
    pub const fn with_state(mut self, state: u64) -> Self {
        self.reserved[0] = state;
        self
    }
}

/// A header field of an answer. Since 1.1.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name, in lower case.
    pub name: RStr<'a>,
    /// Its value; bytes that are not UTF-8 are replaced.
    pub value: RStr<'a>,
}

/// The exchange that an answer ended. Since 1.1.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// The path that was asked, as the endpoint gave it; its own path where it gave none. Given again in another
    /// [`Outgoing`], it leads to the same place.
    pub path: RStr<'a>,
    /// The state that the endpoint gave it, see [`Outgoing::state`]; 0 if it gave none.
    pub state: u64,
    /// All header fields of the answer, in their order.
    pub headers: RSlice<'a, Field<'a>>,
    /// Zero.
    pub reserved: [u64; 6],
}

impl<'a> Exchange<'a> {
    /// An exchange at `path`, without a state, whose answer has no header fields.
    pub fn new(path: &'a str) -> Self {
        Self { path: path.into(), state: 0, headers: RSlice::EMPTY, reserved: [0; 6] }
    }

    /// The value of the first header field of that name, in whatever case, if there is one.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let field = self.headers.as_slice().iter().find(|field| field.name.eq_ignore_ascii_case(name));
        field.map(|field| field.value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_what_was_given_and_leaves_the_other_words_alone() {
        assert_eq!(Outgoing::default().state(), 0);
        let outgoing = Outgoing::default().with_state(7).with_state(u64::MAX);
        assert_eq!((outgoing.state(), outgoing.reserved), (u64::MAX, [u64::MAX, 0, 0, 0]));
    }

    #[test]
    fn a_header_is_found_by_its_name_in_any_case_and_the_first_of_several_is_taken() {
        let field = |name: &'static str, value: &'static str| Field { name: name.into(), value: value.into() };
        let fields = [field("retry-after", "3"), field("via", "a"), field("via", "b")];
        let exchange = Exchange { headers: fields.as_slice().into(), ..Exchange::new("/v1/x") };
        assert_eq!((exchange.header("Retry-After"), exchange.header("via")), (Some("3"), Some("a")));
        assert_eq!((exchange.header("location"), exchange.path.as_str()), (None, "/v1/x"));
    }
}
