import pytest

from pertoken.core.secrets import weakness


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("a", "1 characters"),
        ("fifteen-letters", "15 characters"),
        ("abcabcabcabcabcabcabc", "3 different characters"),
        ("0000000000000000000000000", "1 different characters"),
        ("pertoken-admin-key-1", "common words"),
        ("ChangeMe-ChangeMe-12345678", "common words"),
        ("sk-admin-password-secret", "common words"),
    ],
)
def test_a_weak_secret_is_told(secret: str, said: str) -> None:
    """What is short, repeats itself or consists of the usual words is weak; the reason does not repeat it."""
    reason = weakness(secret)

    assert reason is not None
    assert said in reason
    assert secret not in reason.split()


@pytest.mark.parametrize(
    "secret",
    [
        "2f8a1c0d9be47563",
        "correct horse battery staple",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4",
        "sk-pt-admin-9f27cb8e1d",
    ],
)
def test_a_secret_by_chance_is_not(secret: str) -> None:
    """What `openssl rand -hex` prints, or words that nobody tries first, pass."""
    assert weakness(secret) is None
