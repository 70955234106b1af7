"""A FastAPI image classifier with its pictures, its training and its contract: cat or dog?"""
