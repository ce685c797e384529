"""Twins of `flightsw.astro.geodesy`: geodetic and Earth-fixed coordinates."""

import torch
from torch import Tensor

from flightsw.astro.geodesy import WGS84_A, WGS84_B, WGS84_E2, WGS84_F


def ecef_from_lla(lat: Tensor, lon: Tensor, height: Tensor) -> Tensor:
    """Return Earth-fixed positions (..., 3) in m; lat, lon in rad, height in m."""
    sin_lat, cos_lat = torch.sin(lat), torch.cos(lat)
    prime_vertical = WGS84_A / torch.sqrt(1.0 - WGS84_E2 * sin_lat**2)
    horizontal = (prime_vertical + height) * cos_lat
    up = (prime_vertical * (1.0 - WGS84_E2) + height) * sin_lat
    return torch.stack([horizontal * torch.cos(lon), horizontal * torch.sin(lon), up], -1)


def lla_from_ecef(r_ecef: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return geodetic latitude, longitude (rad) and height (m) of points (..., 3) in m."""
    x, y, z = r_ecef.unbind(-1)
    horizontal = torch.hypot(x, y)
    second_e2 = WGS84_E2 / (1.0 - WGS84_E2)
    beta = torch.atan2(z, (1.0 - WGS84_F) * horizontal)
    lat = beta
    for _ in range(4):
        lat = torch.atan2(
            z + second_e2 * WGS84_B * torch.sin(beta) ** 3,
            horizontal - WGS84_E2 * WGS84_A * torch.cos(beta) ** 3,
        )
        beta = torch.atan2((1.0 - WGS84_F) * torch.sin(lat), torch.cos(lat))
    sin_lat = torch.sin(lat)
    height = horizontal * torch.cos(lat) + z * sin_lat - WGS84_A * torch.sqrt(1.0 - WGS84_E2 * sin_lat**2)
    return lat, torch.atan2(y, x), height


def geodetic_up(lat: Tensor, lon: Tensor) -> Tensor:
    """Return the outward unit normal of the ellipsoid (..., 3) in ecef axes."""
    cos_lat = torch.cos(lat)
    return torch.stack([cos_lat * torch.cos(lon), cos_lat * torch.sin(lon), torch.sin(lat)], -1)
