"""Which design is best?"""
