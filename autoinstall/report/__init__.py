"""What happened: events and one final result, and the places that hear of them."""
