//! Which RabbitMQ it is, as far as its behaviour depends on that.

/// The first two numbers of a version such as `3.10.8` or `4.3.0-rc.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BrokerVersion {
    major: u32,
    minor: u32,
}

impl BrokerVersion {
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// `None` when the text does not begin with two numbers: then nothing that depends on the version is known.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Some(Self { major, minor }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_its_first_two_numbers() {
        for (text, expected) in [
            ("3.10.8", Some((3, 10))),
            ("4.3.0-rc.1", Some((4, 3))),
            ("4.0", Some((4, 0))),
            ("4", None),
            ("four.0", None),
            ("", None),
        ] {
            let expected = expected.map(|(major, minor)| BrokerVersion::new(major, minor));
            assert_eq!(BrokerVersion::parse(text), expected, "{text}");
        }
        assert!(BrokerVersion::new(3, 9) < BrokerVersion::new(3, 10));
        assert!(BrokerVersion::new(3, 13) < BrokerVersion::new(4, 0));
    }
}
