"""Networks shared on a hub: the card that tells what one is, and the way there and back."""

from pronas.sharing._card import Card, card_text, check_license
from pronas.sharing._hub import from_pretrained, push

__all__ = ["Card", "card_text", "check_license", "from_pretrained", "push"]
