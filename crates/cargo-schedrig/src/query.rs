//! Queries to a guest's kernel, as the command line spells them.

use schedrig::{Look, Nanos, Query, TimedLook};

use crate::exit::Usage;

/// The queries in `2s inspect rq dsq 500ms inspect task 12`: the words of all `--at` together.
pub(crate) fn timed(words: &[String]) -> Result<Vec<TimedLook>, Usage> {
    let mut looks = Vec::new();
    let mut rest = words;
    while let Some((time, after)) = rest.split_first() {
        let at: Nanos = time
            .parse()
            .map_err(|error| Usage(format!("--at {time}: {error}")))?;
        let queries = match after.split_first() {
            Some((word, queries)) if word == "inspect" => queries,
            _ => {
                return Err(Usage(format!(
                    "--at {time}: the word `inspect` must follow, as in `--at {time} inspect rq`"
                )));
            }
        };
        // The next ones begin with a time and the word `inspect`.
        let end = (1..queries.len())
            .find(|end| queries.get(end + 1).is_some_and(|word| word == "inspect"))
            .unwrap_or(queries.len());
        looks.extend(parse(&queries[..end])?.into_iter().map(|query| TimedLook {
            at: Some(at),
            look: Look::Query(query),
        }));
        rest = &queries[end..];
    }
    Ok(looks)
}

/// The queries in `rq 1 dsq task 12`: each begins with its name.
pub(crate) fn parse(words: &[String]) -> Result<Vec<Query>, Usage> {
    let words: Vec<&str> = words.iter().flat_map(|word| word.split_whitespace()).collect();
    let mut queries = Vec::new();
    let mut rest = &words[..];
    while let Some(first) = rest.first() {
        let least = Query::words(first).map_or(1, |(least, _)| least);
        let begins = |end: &usize| rest.get(*end).is_some_and(|word| Query::words(word).is_some());
        let end = (least..rest.len()).find(begins).unwrap_or(rest.len());
        let (query, after) = rest.split_at(end);
        let query = query.join(" ").parse();
        queries.push(query.map_err(|error: schedrig::QueryError| Usage(error.to_string()))?);
        rest = after;
    }
    match queries.is_empty() {
        true => Err(Usage(format!("a query is missing: {}", Query::HELP))),
        false => Ok(queries),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &str) -> Vec<String> {
        words.split(' ').map(str::to_owned).collect()
    }

    fn of(text: &str) -> Result<Vec<TimedLook>, Usage> {
        timed(&words(text))
    }

    #[test]
    fn several_queries_are_parsed_apart() {
        let found = of("2s inspect get jiffies_64 500ms inspect read 0x10 8 rq").unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|look| format!("{} {}", look.at.unwrap(), look.look))
            .collect();
        assert_eq!(shown, ["2s get jiffies_64", "500ms read 0x10 8", "500ms rq"]);
    }

    #[test]
    fn a_query_ends_where_the_next_begins() {
        let shown = |text: &str| -> Vec<String> {
            let queries = parse(&words(text)).unwrap();
            queries.iter().map(ToString::to_string).collect()
        };
        assert_eq!(shown("rq 1 dsq task 12"), ["rq 1", "dsq", "task 12"]);
        assert_eq!(shown("rq rq"), ["rq", "rq"]);
        // What it asks for can be called like a query.
        assert_eq!(shown("map maps get dsq"), ["map maps", "get dsq"]);
        assert_eq!(parse(&["rq 1".to_owned()]).unwrap().len(), 1);
    }

    #[test]
    fn a_wrong_word_is_named() {
        let check = |words: &str, part: &str| {
            let error = of(words).unwrap_err().0;
            assert!(error.contains(part), "{error}");
        };
        check("2s rq now", "the word `inspect` must follow");
        check("soon inspect rq", "--at soon");
        check("2s inspect everything", "unknown query 'everything'");
        check("2s inspect get", "an argument is missing");
        check("2s inspect rq 1 2", "query 'rq 1 2': it has too many arguments");
        check("2s inspect", "a query is missing");
    }
}
