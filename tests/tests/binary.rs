//! The program and the example plugins can be built and found by the tests that need them.

use inferometer_tests::binary;

#[test]
fn the_program_is_built_and_found() {
    let program = binary::inferometer();
    assert!(program.is_file(), "{}", program.display());
}

#[test]
fn an_example_plugin_is_built_as_a_shared_library() {
    let library = binary::example_plugin("inferometer-example-endpoint");
    assert!(library.is_file(), "{}", library.display());
}
