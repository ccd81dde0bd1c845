use secrecy::ExposeSecret;

use super::*;

/// The variables are ones that any process has, because a test cannot set its own.
#[derive(Debug, Parser)]
#[command(name = "sample")]
struct Sample {
    /// How often
    #[arg(long, env = "PATH", default_value = "2m")]
    interval: GoDuration,
    /// A token
    #[arg(long, env = "SAMPLE_TOKEN_THAT_NOBODY_SETS", value_parser = secret)]
    token: Option<SecretString>,
    /// Some names
    #[arg(long, default_value = "")]
    names: CommaList<String>,
    /// A peer
    #[arg(long, env = "SAMPLE_URL_THAT_NOBODY_SETS", value_parser = http_url)]
    url: Option<Url>,
}

fn sample(args: &[&str]) -> Result<Sample, clap::Error> {
    try_parse_from(std::iter::once("sample").chain(args.iter().copied()), |_| Some(OsString::new()))
}

#[test]
fn an_empty_variable_counts_as_unset() {
    assert_eq!(sample(&[]).unwrap().interval.to_string(), "2m");
}

#[test]
fn a_variable_that_is_set_counts_and_its_error_names_flag_and_variable() {
    let error = try_parse_from::<Sample, _, _>(["sample"], |name| std::env::var_os(name)).unwrap_err();
    let text = error.to_string();
    assert_eq!(error.exit_code(), 2);
    assert!(text.contains("--interval") && text.contains("environment variable PATH"), "{text}");
}

#[test]
fn an_error_from_the_command_line_names_flag_and_variable_too() {
    let text = sample(&["--url", "storage:7070"]).unwrap_err().to_string();
    assert!(text.contains("'storage:7070'") && text.contains("--url"), "{text}");
    assert!(text.contains("SAMPLE_URL_THAT_NOBODY_SETS") && text.contains("http://"), "{text}");
}

#[test]
fn help_shows_the_name_of_a_variable_and_never_its_value() {
    let error = try_parse_from::<Sample, _, _>(["sample", "--help"], |name| std::env::var_os(name)).unwrap_err();
    let text = error.to_string();
    assert_eq!(error.exit_code(), 0);
    assert!(text.contains("[env: PATH]") && text.contains("[default: 2m]"), "{text}");
    assert!(!text.contains(&std::env::var("PATH").unwrap()), "{text}");
}

#[test]
fn secrets_are_trimmed_and_never_printed() {
    let settings = sample(&["--token", " abc\n"]).unwrap();
    assert_eq!(settings.token.as_ref().unwrap().expose_secret(), "abc");
    assert!(!format!("{settings:?}").contains("abc"));
}

#[test]
fn comma_lists_skip_what_is_empty() {
    assert_eq!(sample(&["--names", " a ,,b,"]).unwrap().names, CommaList(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(sample(&[]).unwrap().names, CommaList::default());
    assert_eq!(CommaList(vec!["a", "b"]).to_string(), "a,b");
    assert!("1,x".parse::<CommaList<u8>>().is_err());
}

#[test]
fn peers_have_http_urls() {
    assert!(http_url("http://127.0.0.1:7070").is_ok());
    assert!(http_url("https://storage.example.com/path").is_ok());
    for bad in ["localhost:7070", "ftp://host", "/path", "", "http://", "http://me:secret@host", "http://me@host"] {
        assert!(http_url(bad).is_err(), "{bad}");
    }
}

#[test]
fn credentials_in_a_refused_value_are_not_shown() {
    for given in ["http://me:planted@host", "me:planted@host", "ftp://me:planted@host,http://other"] {
        let text = sample(&["--url", given]).unwrap_err().to_string();
        assert!(text.contains("host") && !text.contains("planted"), "{text}");
    }
}
