#include "statistics/distributions.hpp"

#include <boost/math/distributions/beta.hpp>
#include <boost/math/distributions/chi_squared.hpp>
#include <boost/math/distributions/fisher_f.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>

namespace derate {
namespace {

using boost::math::cdf;
using boost::math::complement;

boost::math::normal_distribution<> const standard_normal{};

using StudentT = boost::math::students_t_distribution<>;
using ChiSquared = boost::math::chi_squared_distribution<>;
using FisherF = boost::math::fisher_f_distribution<>;

}  // namespace

double normal_cdf(double z) { return cdf(standard_normal, z); }
double normal_survival(double z) { return cdf(complement(standard_normal, z)); }
double normal_quantile(double probability) {
    return boost::math::quantile(standard_normal, probability);
}

double student_t_cdf(double t, double degrees_of_freedom) {
    return cdf(StudentT{degrees_of_freedom}, t);
}
double student_t_survival(double t, double degrees_of_freedom) {
    return cdf(complement(StudentT{degrees_of_freedom}, t));
}
double student_t_quantile(double probability, double degrees_of_freedom) {
    return boost::math::quantile(StudentT{degrees_of_freedom}, probability);
}

double chi_squared_cdf(double x, double degrees_of_freedom) {
    return cdf(ChiSquared{degrees_of_freedom}, x);
}
double chi_squared_survival(double x, double degrees_of_freedom) {
    return cdf(complement(ChiSquared{degrees_of_freedom}, x));
}
double chi_squared_quantile(double probability, double degrees_of_freedom) {
    return boost::math::quantile(ChiSquared{degrees_of_freedom}, probability);
}

double fisher_f_survival(double f, double degrees_of_freedom_between,
                         double degrees_of_freedom_within) {
    return cdf(complement(FisherF{degrees_of_freedom_between, degrees_of_freedom_within}, f));
}

double beta_quantile(double probability, double alpha, double beta) {
    return boost::math::quantile(boost::math::beta_distribution<>{alpha, beta}, probability);
}

}  // namespace derate
