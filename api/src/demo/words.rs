//! Texts of the demo data: nicknames, places, meetups, messages.

use rand::{Rng, seq::IndexedRandom};

const MANNERS: [&str; 16] = [
    "느긋한",
    "졸린",
    "부지런한",
    "뻣뻣한",
    "유연한",
    "씩씩한",
    "조용한",
    "엉뚱한",
    "다정한",
    "용감한",
    "포근한",
    "상냥한",
    "나른한",
    "활기찬",
    "수줍은",
    "든든한",
];
const ANIMALS: [&str; 16] = [
    "수달",
    "판다",
    "고양이",
    "거북이",
    "나무늘보",
    "너구리",
    "두루미",
    "다람쥐",
    "해달",
    "오리",
    "코알라",
    "기린",
    "펭귄",
    "여우",
    "토끼",
    "곰",
];

/// A place of meetups.
pub(super) struct Place {
    pub(super) name: &'static str,
    pub(super) road_address: &'static str,
    pub(super) lot_address: &'static str,
    pub(super) sigungu: &'static str,
    pub(super) region_code: &'static str,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
}

/// Texts of a meetup, and the hours at which it may begin.
pub(super) struct MeetupWords {
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) from: u32,
    pub(super) until: u32,
}

const fn spot(
    name: &'static str,
    [road_address, lot_address]: [&'static str; 2],
    sigungu: &'static str,
    region_code: &'static str,
    [latitude, longitude]: [f64; 2],
) -> Place {
    Place { name, road_address, lot_address, sigungu, region_code, latitude, longitude }
}

const fn meet(title: &'static str, [from, until]: [u32; 2], description: &'static str) -> MeetupWords {
    MeetupWords { title, description, from, until }
}

const PLACES: [Place; 10] = [
    spot(
        "서울숲",
        ["서울 성동구 뚝섬로 273", "서울 성동구 성수동1가 678-1"],
        "성동구",
        "1120011400",
        [37.5444, 127.0374],
    ),
    spot(
        "여의도한강공원",
        ["서울 영등포구 여의동로 330", "서울 영등포구 여의도동 8"],
        "영등포구",
        "1156011000",
        [37.5284, 126.9327],
    ),
    spot(
        "올림픽공원",
        ["서울 송파구 올림픽로 424", "서울 송파구 방이동 88-3"],
        "송파구",
        "1171011100",
        [37.5206, 127.1214],
    ),
    spot("남산공원", ["서울 중구 삼일대로 231", "서울 중구 예장동 산5-6"], "중구", "1114013300", [37.5509, 126.9908]),
    spot(
        "북서울꿈의숲",
        ["서울 강북구 월계로 173", "서울 강북구 번동 산28-6"],
        "강북구",
        "1130510200",
        [37.6206, 127.0408],
    ),
    spot(
        "보라매공원",
        ["서울 동작구 여의대방로20길 33", "서울 동작구 신대방동 395"],
        "동작구",
        "1159010900",
        [37.4929, 126.9199],
    ),
    spot(
        "양재시민의숲",
        ["서울 서초구 매헌로 99", "서울 서초구 양재동 236"],
        "서초구",
        "1165010200",
        [37.4711, 127.0355],
    ),
    spot(
        "월드컵공원",
        ["서울 마포구 하늘공원로 84", "서울 마포구 상암동 478-1"],
        "마포구",
        "1144012700",
        [37.5638, 126.8934],
    ),
    spot(
        "경의선숲길",
        ["서울 마포구 양화로 188", "서울 마포구 동교동 190-1"],
        "마포구",
        "1144012100",
        [37.5571, 126.9254],
    ),
    spot(
        "낙산공원",
        ["서울 종로구 낙산길 41", "서울 종로구 동숭동 산2-10"],
        "종로구",
        "1111016800",
        [37.5806, 127.0076],
    ),
];

const MEETUPS: [MeetupWords; 8] = [
    meet("점심 스트레칭", [12, 12], "점심 먹고 30분만 같이 몸을 풀어요. 운동복은 없어도 괜찮아요."),
    meet("퇴근길 걷기", [18, 20], "퇴근하고 천천히 5km 걸어요. 이야기하면서 걷는 모임이에요."),
    meet("아침 요가 모임", [6, 8], "하루를 요가로 시작해요. 매트만 가져오세요."),
    meet("거북목 탈출단", [11, 19], "하루 종일 모니터만 보는 사람들 모여라. 목과 어깨를 풀어요."),
    meet("공원 한 바퀴 산책", [8, 16], "천천히 걸으며 공원 한 바퀴. 강아지도 환영해요."),
    meet("초보 러닝 크루", [7, 20], "3km를 쉬지 않고 뛰는 게 목표예요. 처음인 분을 기다려요."),
    meet("맨몸 근력 30분", [9, 20], "스쿼트, 런지, 플랭크. 딱 30분만 하고 헤어져요."),
    meet("앉은 사람들의 저녁 운동", [18, 20], "의자에서 일어난 김에 같이 움직여요."),
];

const NOTICES: [&str; 6] = [
    "지하철 2번 출구 앞에서 만나요. 10분 전까지 와 주세요!",
    "비가 오면 실내로 옮겨요. 당일 아침에 다시 알려 드릴게요 ☔",
    "준비물: 편한 신발, 물, 수건",
    "매트가 없는 분은 여기에 말씀해 주세요. 제가 두 개 더 가져갈게요.",
    "처음 오시는 분도 환영해요. 무리하지 말고 할 수 있는 만큼만!",
    "늦으시면 입구에서 기다리지 말고 안쪽 잔디밭으로 오세요.",
];

const COMMENTS: [&str; 10] = [
    "처음인데 가도 될까요?",
    "지난번에 정말 좋았어요! 또 갈게요 🙌",
    "운동화만 있으면 되나요?",
    "아이랑 같이 가도 괜찮을까요?",
    "회사가 근처라 점심에 딱이네요",
    "다음 주에도 열리나요?",
    "허리가 안 좋은데 따라 할 수 있을까요?",
    "몬스터 레벨 자랑하러 갑니다 😎",
    "주차할 곳이 있나요?",
    "끝나고 커피 한잔해요 ☕",
];

const LINES: [&str; 16] = [
    "안녕하세요! 처음 참여해요 👋",
    "오늘도 하루 종일 앉아 있었네요 😂",
    "몇 시에 모일까요?",
    "저는 조금 일찍 도착할 것 같아요",
    "비가 오면 어떻게 하나요? ☔",
    "비 오면 실내로 옮겨요",
    "매트는 제가 하나 더 가져갈게요",
    "목 돌리기 10번 완료 💪",
    "스쿼트 하고 나니 다리가 후들후들…",
    "다들 스트레칭 하셨나요?",
    "물 꼭 챙겨 오세요 💧",
    "끝나고 국수 드실 분?",
    "저요! 🙋",
    "지하철 2번 출구에서 만나요",
    "오늘 정말 즐거웠어요, 또 만나요 😊",
    "몬스터가 한 단계 자랐어요 🎉",
];

/// A nickname of at most 16 characters, unique within and across runs.
pub(super) fn nickname(rng: &mut impl Rng, run: &str, number: usize) -> String {
    let (manner, animal) = (pick(rng, &MANNERS), pick(rng, &ANIMALS));
    format!("{manner}{animal}{run}{number:x}")
}

/// A random place in Seoul.
pub(super) fn place(rng: &mut impl Rng) -> &'static Place {
    PLACES.choose(rng).unwrap_or(&PLACES[0])
}

/// A random meetup.
pub(super) fn meetup(rng: &mut impl Rng) -> &'static MeetupWords {
    MEETUPS.choose(rng).unwrap_or(&MEETUPS[0])
}

/// A random comment.
pub(super) fn comment(rng: &mut impl Rng) -> &'static str {
    pick(rng, &COMMENTS)
}

/// A random notice.
pub(super) fn notice(rng: &mut impl Rng) -> &'static str {
    pick(rng, &NOTICES)
}

/// A random message.
pub(super) fn line(rng: &mut impl Rng) -> &'static str {
    pick(rng, &LINES)
}

fn pick(rng: &mut impl Rng, list: &[&'static str]) -> &'static str {
    list.choose(rng).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::auth::rules::MAX_NICKNAME_CHARS;

    #[test]
    fn nicknames_fit_and_differ() {
        let mut rng = StdRng::seed_from_u64(1);
        let names: std::collections::BTreeSet<String> =
            (0..5_000).map(|n| nickname(&mut rng, "abc", 999_999 - n)).collect();
        assert_eq!(names.len(), 5_000);
        assert!(names.iter().all(|name| name.chars().count() <= MAX_NICKNAME_CHARS));
    }
}
