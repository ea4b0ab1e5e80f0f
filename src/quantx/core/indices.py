"""The exchange of each known index: the table that gives an index its calendar, time zone and currency.

The symbols are Yahoo's (https://finance.yahoo.com/markets/world-indices/). An index has a value on the sessions of the
exchange whose shares it holds, as its administrator publishes: Nikkei (https://indexes.nikkei.co.jp), FTSE Russell
(https://www.lseg.com/en/ftse-russell), Hang Seng Indexes (https://www.hsi.com.hk), STOXX (https://stoxx.com), Euronext
(https://live.euronext.com/en/products/indices), SIX (https://www.six-group.com), BME
(https://www.bolsasymercados.es), Nasdaq (https://indexes.nasdaqomx.com), Wiener Börse (https://www.wienerborse.at),
S&P Dow Jones (https://www.spglobal.com/spdji) and Cboe (https://www.cboe.com/us/indices).
"""

from __future__ import annotations

# Index → suffix of its exchange; an index of London is in pounds, its shares are in pence.
EXCHANGES_OF_INDICES = {
    "^N225": "T",  # Nikkei 225
    "^N300": "T",  # Nikkei 300
    "^HSI": "HK",  # Hang Seng
    "^HSCE": "HK",  # Hang Seng China Enterprises
    "^HSCC": "HK",  # Hang Seng China-Affiliated Corporations
    "^FTSE": "L",  # FTSE 100
    "^FTMC": "L",  # FTSE 250
    "^FTAS": "L",  # FTSE All-Share
    "^FTLC": "L",  # FTSE 350
    "^GDAXI": "DE",  # DAX
    "^MDAXI": "DE",  # MDAX
    "^SDAXI": "DE",  # SDAX
    "^TECDAX": "DE",  # TecDAX
    "^FCHI": "PA",  # CAC 40
    "^SBF120": "PA",  # SBF 120
    "^N100": "PA",  # Euronext 100
    "^AEX": "AS",  # AEX
    "^AMX": "AS",  # AMX
    "^BFX": "BR",  # BEL 20
    "^ISEQ": "IR",  # ISEQ All Share
    "^IBEX": "MC",  # IBEX 35
    "^SSMI": "SW",  # SMI
    "^ATX": "VI",  # ATX
    "^OMX": "ST",  # OMX Stockholm 30
    "^OMXS30": "ST",
    "^OMXC25": "CO",  # OMX Copenhagen 25
    "^OMXH25": "HE",  # OMX Helsinki 25
    "^OSEAX": "OL",  # Oslo Børs All-share
}
CURRENCIES_OF_INDICES = {"L": "GBP"}


def _indices(names: str) -> frozenset[str]:
    return frozenset(f"^{name}" for name in names.split())


# Indices of American shares, rates and volatilities: the sessions of New York.
AMERICAN_INDICES = _indices(
    # S&P Dow Jones
    "GSPC SPX SPXEW SP400 SP500TR SP600 SP1500 SPSUPX MID SML OEX DJI DJA DJT DJU DJUS DWCF DWCPF W5000 REIT SPGSCI "
    # Nasdaq and New York's exchanges
    "IXIC NDX NDXE NBI BANK INDS INSR IXF IXCO IXK TRAN XAX XMI NYA NYY NYI NYP NYL XOI XAU XNG HUI BKX KRX KBW "
    "SOX OSX HGX DFX UTY XAL BTK DRG PSE "
    # FTSE Russell
    "RUT RUI RUA RUJ RUO RLG RLV RMCC RMC RDL FTW5000 "
    # Cboe: volatilities, strategies and rates
    "VIX VIX1D VIX9D VIX3M VIX6M VIX1Y VIN VIF VVIX VXN VXO VXD VXV VXST VXMT RVX OVX GVZ EVZ VXEEM VXEFA VXSLV "
    "VXGDX VXAPL VXAZN VXGOG VXGS VXIBM SKEW BXM BXD BXN BXR BXY PUT CLL IRX FVX TNX TYX"
)
