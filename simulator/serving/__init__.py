"""What does a request see?"""
