//! Requests that wait: whose answers are heard, and for how long.

use super::*;

fn asks(ends_at: u64, answers: Answers) -> Request {
    let patience = Duration::from_nanos(10);
    Request { of: 1, asker: 0, reply: (*b"inbox").into(), answers, patience, ends_at: Time(ends_at) }
}

fn services() -> Services {
    let mut services = Services::new(2, 1);
    services.heard[1] = Some(*b"abcdef");
    services
}

fn says(services: &mut Services, word: Word, payload: usize, now: u64) -> bool {
    let subject = reply(*b"abcdef", word);
    let m = Message { subject: &subject, size: payload, ..Message::EMPTY };
    services.answered(1, &m, Time(now)).is_some()
}

#[test]
fn only_words_of_its_own_are_heard() {
    assert_eq!(words(b"_R_.abcdef.ghijkl"), Some((*b"abcdef", *b"ghijkl")));
    for other in ["_R_.abcdef.ghijk", "_R_.abcdef.ghijklm", "_R_.abcdefg.ghijkl", "_R_.abc", "_R_.", "_R", "x"] {
        assert_eq!(words(other.as_bytes()), None, "{other}");
    }
    let (mut services, mut rng) = (services(), Rng::new(1));
    let (word, _) = services.add(asks(10, Answers::One), &mut rng);
    let subject = reply(*b"bbcdef", word);
    assert!(services.answered(1, &Message { subject: &subject, ..Message::EMPTY }, Time(1)).is_none());
    let subject = reply(*b"abcdef", word);
    assert!(services.answered(0, &Message { subject: &subject, ..Message::EMPTY }, Time(1)).is_none());
    assert!(says(&mut services, word, 1, 1));
    assert!(!says(&mut services, word, 1, 1));
}

#[test]
fn many_answers_come_until_an_empty_one_or_none_in_time() {
    let (mut services, mut rng) = (services(), Rng::new(1));
    let (word, _) = services.add(asks(10, Answers::Many), &mut rng);
    assert!(says(&mut services, word, 1, 9) && says(&mut services, word, 1, 18));
    assert!(!says(&mut services, word, 1, 28));
    let (word, _) = services.add(asks(10, Answers::Chunks), &mut rng);
    assert!(says(&mut services, word, 1, 1) && says(&mut services, word, 0, 1));
    assert!(!says(&mut services, word, 1, 1));
}

#[test]
fn the_oldest_are_forgotten_and_so_are_the_late() {
    let (mut services, mut rng) = (services(), Rng::new(1));
    let (first, _) = services.add(asks(10, Answers::One), &mut rng);
    let more = (0..2 * SERVICE_REQUESTS_MAX).map(|_| services.add(asks(20, Answers::One), &mut rng));
    let (all, forgotten): (Vec<Word>, Vec<u64>) = more.unzip();
    // Each that was given up is accounted for.
    assert_eq!(forgotten.iter().sum::<u64>() as usize + services.waiting.len(), 2 * SERVICE_REQUESTS_MAX + 1);
    assert!(services.waiting.len() <= 2 * SERVICE_REQUESTS_MAX);
    assert!(!says(&mut services, first, 1, 1));
    assert!(says(&mut services, all[all.len() - 1], 1, 1));
    services.sweep(Time(20));
    assert!(services.waiting.is_empty() && services.asked.iter().all(VecDeque::is_empty));
}
