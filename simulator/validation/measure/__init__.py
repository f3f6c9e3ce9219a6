"""What is the machine at hand? Times of its engines, memories and disk, and the machine that is made of them."""
