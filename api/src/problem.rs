//! Errors as clients see them: `application/problem+json` (RFC 9457) with a stable `code`.
//!
//! An operation names the codes it can answer in its return type, `Result<T, Problem<{ codes(&[Code::NotFound]) }>>`,
//! from which the OpenAPI document lists them; answering a code that is not named is caught in tests.

use std::{collections::BTreeMap, time::Duration};

use common::{
    config::Secret,
    db::{DbError, MaybeContention},
    rooms::{AppendError, RoomError},
    tokens::TokenError,
};
use poem::{
    IntoResponse, Response,
    error::ResponseError,
    http::{StatusCode, header},
};
use poem_openapi::{
    ApiResponse, Enum, Object,
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{Example, ToJSON, Type},
};

/// The content type of RFC 9457, section 3.
const CONTENT_TYPE: &str = "application/problem+json";

macro_rules! error_codes {
    ($($name:ident $status:ident $text:literal, $ko:literal, $en:literal;)*) => {
        /// Why a request was refused. Each has one status and one stable text. A newer service may have more.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Enum)]
        #[oai(rename = "ErrorCode")]
        pub enum Code {
            $(#[doc = $en] #[oai(rename = $text)] $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// As programs see it.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status it is sent with.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// As people see it.
            pub const fn detail(self, language: Language) -> &'static str {
                match language {
                    Language::Korean => match self { $(Self::$name => $ko,)* },
                    Language::English => match self { $(Self::$name => $en,)* },
                }
            }
        }
    };
}

error_codes! {
    BadRequest BAD_REQUEST "bad_request", "요청 형식이 올바르지 않습니다.", "The request cannot be read.";
    InvalidInput BAD_REQUEST "invalid_input", "입력값을 확인해 주세요.", "Some fields are not valid; see errors.";
    Unauthenticated UNAUTHORIZED "unauthenticated", "로그인이 필요합니다.", "A valid access token is needed.";
    TokenExpired UNAUTHORIZED "token_expired", "로그인이 만료되었습니다.", "The access token has expired; refresh it.";
    WrongCredentials UNAUTHORIZED "wrong_credentials", "이메일 또는 비밀번호가 올바르지 않습니다.", "The email or the password is wrong.";
    BadRefreshToken UNAUTHORIZED "bad_refresh_token", "다시 로그인해 주세요.", "The refresh token is unknown, expired, used or revoked; log in again.";
    WrongPassword FORBIDDEN "wrong_password", "현재 비밀번호가 올바르지 않습니다.", "The current password is wrong.";
    AccountWithdrawn FORBIDDEN "account_withdrawn", "탈퇴한 계정입니다. 복구할 수 있습니다.", "The account was withdrawn; restore_token brings it back.";
    BadRestoreToken UNAUTHORIZED "bad_restore_token", "다시 로그인해 주세요.", "The restore token is unknown, expired or used; log in again.";
    NotFound NOT_FOUND "not_found", "찾을 수 없습니다.", "There is no such thing, or it is not yours.";
    MethodNotAllowed METHOD_NOT_ALLOWED "method_not_allowed", "허용되지 않는 메서드입니다.", "The path does not support this method.";
    EmailTaken CONFLICT "email_taken", "이미 사용 중인 이메일입니다.", "An account with this email exists.";
    NicknameTaken CONFLICT "nickname_taken", "이미 사용 중인 닉네임입니다.", "An account with this nickname exists.";
    WorkoutFinished CONFLICT "workout_finished", "이미 끝난 운동입니다.", "The workout is finished.";
    CompletedEarlier CONFLICT "completed_earlier", "지난 날의 완료는 취소할 수 없습니다.", "The action was completed on an earlier day.";
    MonsterGrowing CONFLICT "monster_growing", "이미 자라고 있는 몬스터가 있습니다.", "A monster is growing; the next comes when it is grown.";
    NotAMember FORBIDDEN "not_a_member", "모임 멤버만 할 수 있습니다.", "Only members of the meetup may do this.";
    NotTheHost FORBIDDEN "not_the_host", "모임장만 할 수 있습니다.", "Only the host of the meetup may do this.";
    RemovedFromMeetup FORBIDDEN "removed_from_meetup", "내보내진 모임에는 다시 참여할 수 없습니다.", "The host removed you from this meetup.";
    MeetupOver CONFLICT "meetup_over", "종료되었거나 취소된 모임입니다.", "The meetup has ended or was cancelled.";
    HostCannotLeave CONFLICT "host_cannot_leave", "모임장을 넘긴 뒤에 나갈 수 있습니다.", "Hand the meetup over to another member first.";
    HostMustBeMember CONFLICT "host_must_be_member", "모임장은 모임 멤버여야 합니다.", "Only a member can become the host.";
    CapacityBelowMembers CONFLICT "capacity_below_members", "정원이 현재 멤버 수보다 적습니다.", "More people take part than there would be places.";
    NotTheAuthor FORBIDDEN "not_the_author", "작성자만 할 수 있습니다.", "Only the author may do this.";
    RoomReadOnly CONFLICT "room_read_only", "종료된 모임의 대화방은 읽기만 할 수 있습니다.", "The meetup is over: its room is read-only.";
    RoutineNameTaken CONFLICT "routine_name_taken", "같은 이름의 루틴이 있습니다.", "You have a routine with this name.";
    TooManyRoutines CONFLICT "too_many_routines", "루틴은 100개까지 만들 수 있습니다.", "You have 100 routines, which is the most one may have.";
    PlacesNotConfigured SERVICE_UNAVAILABLE "places_not_configured", "장소 검색이 설정되어 있지 않습니다.", "Places are not set up on this server.";
    PlacesUnavailable BAD_GATEWAY "places_unavailable", "지금은 장소를 찾을 수 없습니다.", "The place service does not answer; try again later.";
    TooLarge PAYLOAD_TOO_LARGE "too_large", "요청 본문이 너무 큽니다.", "The request body is larger than 64 KiB.";
    UnsupportedMediaType UNSUPPORTED_MEDIA_TYPE "unsupported_media_type", "JSON 본문이 필요합니다.", "The body must be application/json.";
    Internal INTERNAL_SERVER_ERROR "internal", "서버 오류가 발생했습니다.", "Something went wrong on our side.";
    Unavailable SERVICE_UNAVAILABLE "unavailable", "잠시 후 다시 시도해 주세요.", "A service we depend on does not answer; try again shortly.";
}

/// The languages of `detail`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// 한국어, unless English is preferred.
    #[default]
    Korean,
    /// English.
    English,
}

impl Language {
    /// The preferred language of an `Accept-Language` header (RFC 9110, section 12.5.4).
    pub fn preferred(header: Option<&str>) -> Self {
        let quality = |language: &str| {
            header
                .unwrap_or_default()
                .split(',')
                .filter_map(|range| {
                    let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
                    let primary = tag.trim().split('-').next()?;
                    let quality = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.parse().ok())?;
                    primary.eq_ignore_ascii_case(language).then_some(quality)
                })
                .fold(0.0_f32, f32::max)
        };
        if quality("en") > quality("ko") { Self::English } else { Self::Korean }
    }
}

/// One field of the input that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example)]
pub struct FieldError {
    /// The field: a path such as `place.latitude`, or the name of a parameter.
    pub field: String,
    /// What is wrong, for programs: `missing`, `malformed`, `unknown`, `empty`, `too_long`, `too_short`, `out_of_range` …
    pub code: String,
}

impl Example for FieldError {
    fn example() -> Self {
        Self { field: "nickname".to_owned(), code: "too_long".to_owned() }
    }
}

/// The body of an error response (RFC 9457).
#[derive(Clone, Debug, Object)]
#[oai(rename = "Problem", example)]
pub struct ProblemBody {
    /// A URI that names the kind of problem.
    #[oai(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong, for programs. Stable.
    pub code: Code,
    /// What went wrong, for people, in Korean or English by `Accept-Language`.
    pub detail: String,
    /// The request, for support and logs.
    pub request_id: String,
    /// What is wrong with which field; for `invalid_input`.
    #[oai(skip_serializing_if_is_empty, default)]
    pub errors: Vec<FieldError>,
    /// Show it to `POST /auth/restore` within 10 minutes; for `account_withdrawn`.
    #[oai(skip_serializing_if_is_none)]
    pub restore_token: Option<String>,
}

impl Example for ProblemBody {
    fn example() -> Self {
        Self {
            kind: "urn:mingizuk:problem:invalid_input".to_owned(),
            title: "Bad Request".to_owned(),
            status: 400,
            code: Code::InvalidInput,
            detail: Code::InvalidInput.detail(Language::English).to_owned(),
            request_id: "0197a3c2-7b1e-7c5a-9d53-3f1d2b8f6a10".to_owned(),
            errors: vec![FieldError::example()],
            restore_token: None,
        }
    }
}

/// Failure of a request, to be sent as a problem.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}{}", code.text(), cause.as_deref().map(|cause| format!(": {cause}")).unwrap_or_default())]
pub struct Failure {
    /// Why.
    pub code: Code,
    /// What is wrong with which field.
    pub errors: Vec<FieldError>,
    /// Brings a withdrawn account back.
    pub restore_token: Option<Secret>,
    /// How long to wait before trying again, sent as `Retry-After`.
    pub retry_after: Option<Duration>,
    /// Cause for the log, never sent to clients.
    pub cause: Option<String>,
}

impl Failure {
    /// The problem body and its status.
    pub fn into_response(self, language: Language, request_id: &str) -> Response {
        let status = self.code.status();
        let body = ProblemBody {
            kind: format!("urn:mingizuk:problem:{}", self.code.text()),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            code: self.code,
            detail: self.code.detail(language).to_owned(),
            request_id: request_id.to_owned(),
            errors: self.errors,
            restore_token: self.restore_token.map(|token| token.expose().to_owned()),
        };
        let mut response = Response::builder().status(status).content_type(CONTENT_TYPE);
        if let Some(wait) = self.retry_after {
            response = response.header(header::RETRY_AFTER, wait.as_millis().div_ceil(1000).to_string());
        }
        if status == StatusCode::UNAUTHORIZED {
            response = response.header(header::WWW_AUTHENTICATE, "Bearer");
        }
        response.body(body.to_json_string())
    }

    fn with_cause(code: Code, cause: impl ToString) -> Self {
        Self { cause: Some(cause.to_string()), ..code.into() }
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Self { code, errors: Vec::new(), restore_token: None, retry_after: None, cause: None }
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Unavailable(_) | DbError::Contention(_) => {
                Self { retry_after: Some(Duration::from_secs(1)), ..Self::with_cause(Code::Unavailable, error) }
            }
            DbError::UniqueViolation(_) | DbError::Other(_) => Self::with_cause(Code::Internal, error),
        }
    }
}

impl From<RoomError> for Failure {
    fn from(error: RoomError) -> Self {
        match error {
            RoomError::Unavailable(_) => {
                Self { retry_after: Some(Duration::from_secs(1)), ..Self::with_cause(Code::Unavailable, error) }
            }
            RoomError::Corrupt(_) => Self::with_cause(Code::Internal, error),
            RoomError::Refused(AppendError::NoSuchMessage) => Code::NotFound.into(),
            RoomError::Refused(AppendError::NotTheAuthor) => Code::NotTheAuthor.into(),
            RoomError::Refused(AppendError::RoomClosed) => Code::RoomReadOnly.into(),
        }
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Invalid => Code::Unauthenticated.into(),
            TokenError::Expired => Code::TokenExpired.into(),
        }
    }
}

impl MaybeContention for Failure {
    fn is_contention(&self) -> bool {
        false
    }
}

impl ResponseError for Failure {
    fn status(&self) -> StatusCode {
        self.code.status()
    }
}

/// A set of codes, for the type of an operation's result.
pub const fn codes(list: &[Code]) -> u128 {
    let mut set = 0;
    let mut i = 0;
    while i < list.len() {
        set |= 1 << list[i] as u32;
        i += 1;
    }
    set
}

/// What any operation can answer.
const ALWAYS: u128 = codes(&[Code::BadRequest, Code::Internal, Code::Unavailable]);
/// What any operation that needs an access token can answer.
pub const SECURED: u128 = codes(&[Code::Unauthenticated, Code::TokenExpired]);
/// What any operation with a body can answer.
pub const WITH_BODY: u128 = codes(&[Code::InvalidInput, Code::TooLarge, Code::UnsupportedMediaType]);

/// The error of an operation that can answer the codes of the set `CODES`, besides those that any operation can.
#[derive(Clone, Debug)]
pub struct Problem<const CODES: u128>(Failure);

impl<const CODES: u128, E: Into<Failure>> From<E> for Problem<CODES> {
    fn from(error: E) -> Self {
        let failure = error.into();
        debug_assert!((CODES | ALWAYS) & codes(&[failure.code]) != 0, "undocumented error {failure}");
        Self(failure)
    }
}

impl<const CODES: u128> From<Problem<CODES>> for poem::Error {
    fn from(problem: Problem<CODES>) -> Self {
        problem.0.into()
    }
}

impl<const CODES: u128> IntoResponse for Problem<CODES> {
    fn into_response(self) -> Response {
        self.0.into_response(Language::default(), "")
    }
}

impl<const CODES: u128> ApiResponse for Problem<CODES> {
    fn meta() -> MetaResponses {
        let mut by_status: BTreeMap<u16, Vec<&'static str>> = BTreeMap::new();
        for code in Code::ALL.iter().filter(|code| (CODES | ALWAYS) & codes(&[**code]) != 0) {
            by_status.entry(code.status().as_u16()).or_default().push(code.text());
        }
        let responses = by_status.into_iter().map(|(status, codes)| MetaResponse {
            // The document is built once a process, and its builder requires static texts.
            description: Box::leak(format!("`code`: {}", codes.join(", ")).into_boxed_str()),
            status: Some(status),
            status_range: None,
            content: vec![MetaMediaType { content_type: CONTENT_TYPE, schema: ProblemBody::schema_ref() }],
            headers: Vec::new(),
        });
        MetaResponses { responses: responses.collect() }
    }

    fn register(registry: &mut Registry) {
        ProblemBody::register(registry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_is_the_most_preferred_one() {
        for (header, language) in [
            (None, Language::Korean),
            (Some("en-US,en;q=0.9,ko;q=0.8"), Language::English),
            (Some("ko-KR,ko;q=0.9,en-US;q=0.8"), Language::Korean),
            (Some("fr, en;q=0.1"), Language::English),
            (Some("*"), Language::Korean),
            (Some("en;q=x"), Language::Korean),
        ] {
            assert_eq!(Language::preferred(header), language, "{header:?}");
        }
    }

    #[test]
    fn codes_are_unique_and_fit_the_set() {
        let texts: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.text()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        assert!(Code::ALL.len() <= 128);
    }
}
