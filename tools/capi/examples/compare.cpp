/*
 * compare MODEL BEFORE AFTER: what changed between two pictures, in C++17.
 *
 *     c++ -std=c++17 compare.cpp $(pkg-config --cflags --libs pixtral) -o compare
 */
#include <pixtral.hpp>

#include <cstdlib>
#include <iostream>

int main(int argc, char **argv) {
    if (argc != 4) {
        std::cerr << "usage: compare MODEL BEFORE AFTER\n";
        return 2;
    }
    try {
        auto model = pixtral::Model::open(argv[1]);
        pixtral::Session session(model);
        session.add(pixtral::Message(PIXTRAL_ROLE_USER)
                        .add(pixtral::Image::from_file(model, argv[2]))
                        .add(pixtral::Image::from_file(model, argv[3]))
                        .add("What changed?"));
        session.generate({}, [](const pixtral_event &event) {
            if (event.kind == PIXTRAL_EVENT_KIND_TEXT) {
                std::cout << event.text << std::flush;
            }
            return true;
        });
        std::cout << "\n";
    } catch (const pixtral::Error &error) {
        std::cerr << error.what() << "\n";
        return EXIT_FAILURE;
    }
}
