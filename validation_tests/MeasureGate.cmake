# ctest -L measure: measure -> aggregate -> gate on the machine at hand, as fixtures. A later step runs
# only when the earlier one passed; a gate without data fails.
set(measured ${CMAKE_CURRENT_BINARY_DIR}/measured)
add_test(NAME measure.clean COMMAND ${CMAKE_COMMAND} -E rm -rf ${measured})
add_test(NAME measure.models
  COMMAND derate measure --quick --quiet --output ${measured}
    --model squeezenet1_1 --model mobilenet_v3_small --model resnet18 --model shufflenet_v2_x0_5
    --model mnasnet0_5)
add_test(NAME measure.aggregate
  COMMAND sh -c "'$<TARGET_FILE:derate>' aggregate --output '${measured}/staged' --input '${measured}'/*.json")
# Five models measured quickly cannot PASS: INCONCLUSIVE (3) is as good as it gets, FAIL is not.
add_test(NAME measure.gate
  COMMAND sh -c "'$<TARGET_FILE:derate>' validate --calibration '${measured}'/staged/*/*/efficiency_curves.json; code=$?; test $code -eq 0 -o $code -eq 3")
set_tests_properties(measure.clean PROPERTIES FIXTURES_SETUP measure_place LABELS measure)
set_tests_properties(measure.models PROPERTIES FIXTURES_REQUIRED measure_place
  FIXTURES_SETUP measured_models LABELS measure RUN_SERIAL ON TIMEOUT 900)
set_tests_properties(measure.aggregate PROPERTIES FIXTURES_REQUIRED measured_models
  FIXTURES_SETUP aggregated_models LABELS measure)
set_tests_properties(measure.gate PROPERTIES FIXTURES_REQUIRED aggregated_models LABELS measure)
