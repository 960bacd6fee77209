"""Ways to ask what every family of scenes can be asked."""

DESCRIBE = ("Describe the image.", "Describe this picture.", "What do you see?", "What is in the image?",
            "What is shown in this picture?", "Describe what you see.")
HOW_MANY = ("How many {} are there?", "How many {} do you see?", "How many {} are in the image?", "Count the {}.",
            "How many {} can you see?")
WHAT_COLOUR = ("What colour is the {}?", "What color is the {}?", "Which colour is the {}?", "Tell me the colour of the {}.",
               "What is the colour of the {}?")
WHERE = ("Where is the {}?", "Where is the {} in the image?", "Where do you see the {}?", "In which part of the image is the {}?")
READ = ("What is written?", "What does it say?", "Read the text.", "What is written in the image?", "What text do you see?",
        "What does the text say?")
