//! The one reader of NATS credentials files: a user's JWT, and the seed that signs for it.

use nkeys::KeyPair;

/// The JWT in the text of a file, as it is sent, and what signs a server's nonce.
///
/// # Errors
/// What is wrong, to be read after the name of the file. It never quotes the seed.
pub fn credentials(text: &str) -> Result<(&str, KeyPair), &'static str> {
    let jwt = section(text, "NATS USER JWT").ok_or("holds no user JWT")?;
    let seed = section(text, "USER NKEY SEED").ok_or("holds no user seed")?;
    let key = KeyPair::from_seed(seed).map_err(|_| "holds a seed that is no nkey")?;
    Ok((jwt, key))
}

/// The line between `-----BEGIN <name>-----` and the dashes that end it.
fn section<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| line.starts_with("---") && line.contains(&format!("BEGIN {name}")))?;
    let line = lines.find(|line| !line.is_empty());
    line.filter(|line| !line.starts_with("---"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_files_are_taken_apart() {
        let seed = KeyPair::new_user().seed().unwrap();
        let text = format!(
            "-----BEGIN NATS USER JWT-----\neyJ0.x.y\n------END NATS USER JWT------\n\n\
             *** IMPORTANT ***\n-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        let (jwt, key) = credentials(&text).unwrap();
        assert_eq!((jwt, key.seed().unwrap()), ("eyJ0.x.y", seed.clone()));
        for (text, wrong) in [
            (String::new(), "holds no user JWT"),
            (
                "-----BEGIN NATS USER JWT-----\n------END".to_owned(),
                "holds no user JWT",
            ),
            (text.replace("USER NKEY SEED", "X"), "holds no user seed"),
            (text.replace(&seed, "SUAX"), "holds a seed that is no nkey"),
        ] {
            assert_eq!(credentials(&text).err(), Some(wrong));
        }
    }
}
