"""The known currencies: ISO 4217 list one, amendment 176, without precious metals, funds and test codes."""

from pertoken.core.texts import meant

CURRENCIES = frozenset(
    """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLF CLP
    CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF
    IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD
    MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB
    RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD
    UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
    """.split()  # noqa: SIM905 - a list of strings is four times as long
)


class NotACurrency(ValueError):
    """A text that should be the code of a currency is not one."""


def check_currency(code: str) -> str:
    """Return the code of a currency. Raises NotACurrency."""
    if code not in CURRENCIES:
        near = meant(code.upper()[:3], CURRENCIES)
        raise NotACurrency(f"unknown currency {code!r}{near or '; write its code of ISO 4217, such as EUR'}")
    return code
