//! Queries to a guest's kernel, as the command line spells them.

use schedrig::{Nanos, Query, TimedQuery};

use crate::exit::Usage;

/// The queries in `2s inspect rq 500ms inspect task 12`: the words of all `--at` together.
pub(crate) fn queries(words: &[String]) -> Result<Vec<TimedQuery>, Usage> {
    let mut queries = Vec::new();
    let mut rest = words;
    while let Some((time, after)) = rest.split_first() {
        let at: Nanos = time
            .parse()
            .map_err(|error| Usage(format!("--at {time}: {error}")))?;
        let query = match after.split_first() {
            Some((word, query)) if word == "inspect" => query,
            _ => {
                return Err(Usage(format!(
                    "--at {time}: the word `inspect` must follow, as in `--at {time} inspect rq`"
                )));
            }
        };
        // The next query begins with a time and the word `inspect`.
        let end = (1..query.len())
            .find(|end| query.get(end + 1).is_some_and(|word| word == "inspect"))
            .unwrap_or(query.len());
        queries.push(TimedQuery {
            at: Some(at),
            query: parse(&query[..end])?,
        });
        rest = &query[end..];
    }
    Ok(queries)
}

/// The query in these words.
pub(crate) fn parse(words: &[String]) -> Result<Query, Usage> {
    words
        .join(" ")
        .parse()
        .map_err(|error: schedrig::QueryError| Usage(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &str) -> Result<Vec<TimedQuery>, Usage> {
        queries(&words.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn several_queries_are_parsed_apart() {
        let found = of("2s inspect get jiffies_64 500ms inspect read 0x10 8").unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|query| format!("{} {}", query.at.unwrap(), query.query))
            .collect();
        assert_eq!(shown, ["2s get jiffies_64", "500ms read 0x10 8"]);
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
    }
}
